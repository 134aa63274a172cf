import pytest

from vaultr.client.items.schemas import SCHEMAS, Draft, ItemInvalid, check, sealed_bytes
from vaultr.client.vaults.plaintext import encode


def faults_of(kind, overview, detail):
    with pytest.raises(ItemInvalid) as rejected:
        check(kind, overview, detail)
    return dict(rejected.value.faults)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_item_of_any_type_needs_only_a_title(kind):
    check(kind, {"title": "Mail"}, {})


@pytest.mark.parametrize(
    ("kind", "overview", "detail"),
    [
        ("login", {"title": "Mail", "urls": ["https://a.example"]}, {"password": "x", "totp": "y"}),
        ("api_key", {"title": "CI", "tags": ["ci"]}, {"key": "id", "secret": "x"}),
        ("env_set", {"title": "prod"}, {"variables": {"B": "2", "A": "", "_x9": "ü\n"}}),
        ("card", {"title": "Bank", "brand": "Visa"}, {"number": "4111", "code": "123"}),
        ("identity", {"title": "Me", "username": "ann"}, {"first_name": "Ann", "ssn": "1"}),
        ("ssh_key", {"title": "git", "public_key": "ssh-ed25519"}, {"private_key": "x"}),
        ("note", {"title": "n", "favourite": True}, {"notes": "x", "fields": [{"name": "y"}]}),
    ],
)
def test_known_fields_are_accepted_in_their_part(kind, overview, detail):
    check(kind, overview, detail)


def test_unknown_fields_are_accepted():
    check("login", {"title": "Mail", "colour": 7}, {"hologram": {"deep": [1, None]}})


@pytest.mark.parametrize(
    ("kind", "overview", "detail", "where"),
    [
        ("login", {}, {}, "overview.title"),
        ("login", {"title": "  "}, {}, "overview.title"),
        ("login", {"title": "a", "urls": "https://a.example"}, {}, "overview.urls"),
        ("login", {"title": "a", "favourite": "yes"}, {}, "overview.favourite"),
        ("login", {"title": "a"}, {"password": 12345678}, "detail.password"),
        ("login", {"title": "a"}, {"passkeys": [{"rp_id": "b"}]}, "detail.passkeys[1].key_value"),
        ("login", {"title": "a"}, {"history": ["hunter2"]}, "detail.history[1]"),
        ("note", {"title": "a"}, {"fields": [{"value": "x"}]}, "detail.fields[1].name"),
        ("env_set", {"title": "a"}, {"variables": ["A=1"]}, "detail.variables"),
        ("env_set", {"title": "a"}, {"variables": {"A": 1}}, "detail.variables.A"),
        ("env_set", {"title": "a"}, {"variables": {"A": "x\0"}}, "detail.variables.A"),
        ("passport", {"title": "a"}, {}, "type"),
        ("login", "Mail", {}, "overview"),
    ],
)
def test_error_names_its_field(kind, overview, detail, where):
    assert where in faults_of(kind, overview, detail)


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", "", "ü", "A=B", "A\n"])
def test_invalid_variable_name_is_rejected(name):
    faults = faults_of("env_set", {"title": "prod"}, {"variables": {name: "x"}})

    assert list(faults) == ["detail.variables[1]"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("login", "password"), ("note", "password"), ("card", "number"), ("env_set", "variables")],
)
def test_secret_in_overview_is_rejected(kind, name):
    assert f"overview.{name}" in faults_of(kind, {"title": "a", name: "x"}, {})


def test_all_errors_are_reported_together_without_values():
    with pytest.raises(ItemInvalid) as rejected:
        check("login", {"urls": "hunter2"}, {"password": ["hunter2"], "totp": {"hunter2": 1}})

    assert len(rejected.value.faults) == 4
    assert "hunter2" not in str(rejected.value)
    assert "hunter2" not in repr(rejected.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {"\udfff": 1}])
def test_invalid_json_or_unicode_is_rejected(value):
    assert "detail.extra" in faults_of("note", {"title": "a"}, {"extra": value})


def test_value_that_contains_itself_is_rejected():
    endless = {}
    endless["again"] = [endless]

    assert "detail.extra" in faults_of("note", {"title": "a"}, {"extra": endless})


def test_item_over_server_size_limit_is_rejected():
    check("note", {"title": "a"}, {"notes": "x" * 60_000})

    assert "item" in faults_of("note", {"title": "a"}, {"notes": "x" * 66_000})


def test_sealed_size_includes_padding_and_both_envelopes():
    assert sealed_bytes({"title": "a"}, {}) == 2 * (64 + 81)


def test_encoding_preserves_variable_order():
    assert encode({"variables": {"Z": "1", "A": "ü"}}) == '{"variables":{"Z":"1","A":"ü"}}'.encode()


def test_repr_of_draft_omits_its_content():
    draft = Draft("login", {"title": "geheim"}, {"password": "hunter2"})

    assert repr(draft) == "Draft(type='login')"
