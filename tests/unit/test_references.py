from types import SimpleNamespace

import pytest

from vaultr.client.errors import ItemNotFound, UsageError, VaultrError
from vaultr.client.items.references import Reference, Resolver, is_reference
from vaultr.client.items.templates import filled, holds_references


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("vaultr://Personal/Mail/password", ("Personal", "Mail", "password", False)),
        ("vaultr://My vault/A b/user name", ("My vault", "A b", "user name", False)),
        ("vaultr://a%2Fb/c%3Fd/e%25f", ("a/b", "c?d", "e%f", False)),
        ("vaultr://ü/%C3%BC/detail.password", ("ü", "ü", "detail.password", False)),
        ("vaultr://Personal/Mail/totp?as=code", ("Personal", "Mail", "totp", True)),
    ],
)
def test_reference_contains_vault_item_and_field(text, parts):
    found = Reference.parse(text)

    assert (found.vault, found.item, found.field, found.as_code) == parts
    assert Reference.parse(str(found)) == found


def test_reference_without_field_names_the_item():
    found = Reference.parse("vaultr://Work/prod", whole=True)

    assert (found.vault, found.item, found.field) == ("Work", "prod", None)
    assert str(found) == "vaultr://Work/prod"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("op://a/b/c", "has the form"),
        ("vaultr:/a/b/c", "has the form"),
        ("vaultr://", "does not have the form"),
        ("vaultr://a/b", "does not have the form"),
        ("vaultr://a//c", "does not have the form"),
        ("vaultr://a/b/c/d", "%2F"),
        ("vaultr://a/b/c%", "%25"),
        ("vaultr://a/b/c%zz", "%25"),
        ("vaultr://a/b/%ff", "UTF-8"),
        ("vaultr://a/b/c%00", "control"),
        ("vaultr://a/b/c\n", "control"),
        ("vaultr://a/b/c?as=text", "as=code"),
        ("vaultr://a/b?as=code/c", "as=code"),
    ],
)
def test_malformed_reference_is_rejected_with_reason(text, expected):
    with pytest.raises(UsageError, match=expected.replace("?", r"\?")):
        Reference.parse(text)


def test_only_a_whole_value_counts_as_a_reference():
    assert is_reference("vaultr://x")
    assert not is_reference(" vaultr://a/b/c")
    assert not is_reference("see vaultr://a/b/c")


ITEMS = {
    ("Personal", "Mail"): SimpleNamespace(
        overview={"title": "Mail", "urls": ["https://a.example", "https://b.example"]},
        detail={
            "password": "hunter2",
            "totp": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
            "variables": {"A": "1"},
            "fields": [{"name": "PIN", "value": "0007"}],
        },
    )
}


def resolver(requested=None):
    def find(vault, item):
        if requested is not None:
            requested.append((vault, item))
        if (vault, item) not in ITEMS:
            raise ItemNotFound("item-not-found", 404, "There is no such item.")
        return ITEMS[vault, item]

    return Resolver(find)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "hunter2"),
        ("overview.title", "Mail"),
        ("detail.password", "hunter2"),
        ("PIN", "0007"),
        ("A", "1"),
        ("variables.A", "1"),
        ("urls", "https://a.example, https://b.example"),
    ],
)
def test_reference_accepts_field_names_of_show(field, value):
    assert resolver().value(Reference("Personal", "Mail", field)) == value


def test_reference_to_totp_returns_a_code():
    code = resolver().value(Reference("Personal", "Mail", "totp", as_code=True))

    assert len(code) == 6
    assert code.isdecimal()


@pytest.mark.parametrize("field", ["variables", "fields"])
def test_group_of_fields_is_rejected_as_value(field):
    with pytest.raises(VaultrError, match="group"):
        resolver().value(Reference("Personal", "Mail", field))


@pytest.mark.parametrize("reference", [("Personal", "Mail", "none"), ("Personal", "Other", "x")])
def test_missing_value_is_reported_with_its_reference(reference):
    with pytest.raises(VaultrError) as missing:
        resolver().value(Reference(*reference))

    assert missing.value.__notes__ == [f"The reference is {Reference(*reference)}."]


def test_item_is_opened_once_for_all_references():
    requested = []
    reads = resolver(requested)

    assert [reads.value(Reference("Personal", "Mail", f)) for f in ("password", "PIN")] == [
        "hunter2",
        "0007",
    ]
    assert requested == [("Personal", "Mail")]


def test_template_values_are_not_expanded_again():
    values = {
        "Personal/Mail/password": "{{ vaultr://Personal/Mail/PIN }} \\1 vaultr://a/b/c",
        "Personal/Mail/PIN": "0007",
        "My vault/A b/c": "x",
    }
    template = (
        "a={{ vaultr://Personal/Mail/password }}\n"
        "b='{{vaultr://My vault/A b/c}}'\nc=vaultr://Personal/Mail/PIN.\n{{ other }} ü\n"
    )

    text = filled(template, lambda ref: values[str(ref).removeprefix("vaultr://")])

    assert text == (
        "a={{ vaultr://Personal/Mail/PIN }} \\1 vaultr://a/b/c\nb='x'\nc=0007.\n{{ other }} ü\n"
    )


def test_template_error_names_the_line():
    with pytest.raises(UsageError, match=r"line 2: vaultr://a/b does not have the form"):
        filled("one\n{{ vaultr://a/b }}", lambda ref: "")


def test_missing_reference_names_the_line():
    with pytest.raises(VaultrError) as missing:
        filled("one\ntwo\nvaultr://Personal/Other/x", resolver().value)

    assert "line 3" in missing.value.__notes__[-1]


def test_unquoted_reference_allows_any_script_and_ends_before_punctuation():
    seen = []

    text = filled("a=vaultr://Büro/Päckchen/Prüfwort, b", lambda ref: seen.append(ref) or "x")

    assert text == "a=x, b"
    assert seen == [Reference("Büro", "Päckchen", "Prüfwort")]


def test_text_without_references_is_unchanged():
    assert filled("{{ x }} $HOME\r\n", resolver().value) == "{{ x }} $HOME\r\n"
    assert not holds_references("{{ x }}")
