import pytest

from vaultr.client.items.merge import changed, merge

BASE = {"password": "a", "totp": "b", "variables": {"A": "1", "B": "2"}}


def test_merge_replaces_named_fields_and_removes_nulls():
    old = {"title": "Mail", "username": "ann", "colour": 7}

    new = merge(old, {"username": None, "title": "Post", "tags": []}, old, prefix="overview")

    assert new.value == {"title": "Post", "colour": 7, "tags": []}
    assert new.clashing == ()
    assert old["username"] == "ann"


@pytest.mark.parametrize(
    ("text", "now", "value", "clashing"),
    [
        ({"password": "x"}, {"totp": "y"}, {"password": "x", "totp": "y"}, []),
        ({"password": "x"}, {"password": "x"}, {"password": "x"}, []),
        ({"password": "x"}, {"password": "y"}, {"password": "y"}, ["detail.password"]),
        ({"password": "a"}, {"password": "y"}, {"password": "y"}, []),
        ({"password": None}, {"totp": "y"}, {"password": None, "totp": "y"}, []),
        ({"password": None}, {"password": "y"}, {"password": "y"}, ["detail.password"]),
        ({"password": "x"}, {"password": None}, {"password": None}, ["detail.password"]),
        ({"new": 1}, {"new": 2}, {"new": 2}, ["detail.new"]),
        ({"new": True}, {"new": 1}, {"new": 1}, ["detail.new"]),
        (
            {"variables": {"A": "x", "B": "2"}},
            {"variables": {"A": "1", "B": "y", "C": "3"}},
            {"variables": {"A": "x", "B": "y", "C": "3"}},
            [],
        ),
        (
            {"variables": {"A": None}},
            {"variables": {"A": "y", "B": "2"}},
            {"variables": {"A": "y", "B": "2"}},
            ["detail.variables.A"],
        ),
        ({"variables": {"A": None}}, {"totp": "y"}, {"variables": {"B": "2"}, "totp": "y"}, []),
        ({"variables": {"C": "3"}}, {}, {"variables": {"A": "1", "B": "2", "C": "3"}}, []),
        ({"variables": {"C": None}}, {}, {"variables": {"A": "1", "B": "2"}}, []),
        ({"variables": {}}, {"totp": "y"}, {"totp": "y"}, []),
        (
            {"variables": {"B": None}},
            {"variables": {"A": "1"}},
            {"variables": {"A": "1"}},
            [],
        ),
        ({"variables": None}, {}, {"variables": None}, []),
        ({"variables": {"A": "x"}}, {"variables": 7}, {"variables": 7}, ["detail.variables"]),
    ],
)
def test_only_fields_changed_by_both_sides_conflict(text, now, value, clashing):
    over = {name: each for name, each in (BASE | now).items() if each is not None}
    wanted = {name: each for name, each in (BASE | value).items() if each is not None}

    found = merge(BASE, text, over, prefix="detail")

    assert found.value == wanted
    assert list(found.clashing) == clashing


def test_changed_lists_differing_fields():
    ours = {"password": "a", "totp": "b", "notes": "c"}

    names = changed(ours, {"password": "a", "totp": "x", "key": 1}, prefix="detail")

    assert list(names) == ["detail.totp", "detail.notes", "detail.key"]


@pytest.mark.parametrize(("was", "wanted"), [(1, True), (True, 1), (1, 1.0), (0, False)])
@pytest.mark.parametrize("within", [
    lambda value: value, lambda value: [value], lambda value: {"more": value},
    lambda value: [{"name": "flag", "value": value}], lambda value: {"more": {"list": [value]}},
])  # fmt: skip
def test_values_of_different_json_types_count_as_changed(was, wanted, within):
    base, provided = {"field": within(was)}, {"field": within(wanted)}

    new = merge(base, provided, base, prefix="detail")

    assert repr(new.value) == repr(provided)
    assert list(changed(base, provided, prefix="detail"))
    assert list(changed(base, {"field": within(was)}, prefix="detail")) == []


def test_key_order_does_not_count_as_change():
    assert list(changed({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, prefix="detail")) == []
