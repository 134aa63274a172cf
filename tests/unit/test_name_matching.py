from types import SimpleNamespace

import pytest

from vaultr.client.errors import UsageError
from vaultr.client.items.fields import FieldNotFound, value_of
from vaultr.client.vaults.name_matching import meant, near, which

NAMES = ["GitHub", "GitLab", "Mail", "mail", "", "Straße", "Cafe\u0301"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("GitHub", ["GitHub"]),
        ("github", ["GitHub"]),
        ("Mail", ["Mail"]),
        ("mail", ["mail"]),
        ("MAIL", ["Mail", "mail"]),
        ("git", []),
        ("GitHub ", []),
        ("", [""]),
        ("strasse", ["Straße"]),
        ("CAF\u00c9", ["Cafe\u0301"]),
    ],
)
def test_exact_name_is_preferred_over_other_case(wanted, found):
    assert meant(wanted, ((name, name) for name in NAMES)) == found


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("GitHup", " Similar: GitHub."),
        ("git", " Similar: GitHub, GitLab."),
        ("Xyz", ""),
        ("", ""),
    ],
)
def test_similar_names_are_suggested(wanted, hint):
    assert near(wanted, NAMES) == hint


def test_suggested_name_with_line_breaks_stays_on_one_line():
    assert near("begin", ["begin\nvaultr: all is well\u2028" + "x" * 99]) == (
        " Similar: begin vaultr: all is well " + "x" * 33 + "…."
    )


def test_at_most_five_similar_names_are_listed():
    reported = which(
        "9 items", [(str(number), "x" * number) for number in range(9)], advice="choose"
    )

    assert str(reported).splitlines() == [
        "9 items: choose.",
        "0",
        "1  x",
        "2  xx",
        "3  xxx",
        "4  xxxx",
        "and 4 more",
    ]


def item(**detail):
    return SimpleNamespace(overview={"title": "Mail", "username": "ann"}, detail=detail)


def test_field_name_ignores_case_unless_ambiguous():
    variables = {"variables": {"PORT": "1", "Path": "2", "PATH": "3"}}

    assert value_of(item(**variables), "port") == "1"
    assert value_of(item(**variables), "USERNAME") == "ann"
    assert value_of(item(**variables), "Path") == "2"
    with pytest.raises(UsageError, match="Several fields match: Path, PATH"):
        value_of(item(**variables), "path")


def test_missing_field_is_reported_with_existing_ones():
    hidden = {"password": "hunter2", "fields": [{"name": "Pin code", "value": "1234"}, 7]}

    with pytest.raises(FieldNotFound) as mistyped:
        value_of(item(**hidden), "passwrod")
    with pytest.raises(FieldNotFound) as unlike:
        value_of(item(**hidden), "zzz")

    assert str(mistyped.value) == "This item has no field passwrod. Similar: password."
    assert str(unlike.value) == (
        "This item has no field zzz. It has title, username, password, Pin code."
    )
