import json

import pytest

LOGIN = {
    "overview": {"title": "Mail", "username": "ann", "urls": ["https://mail.example"]},
    "detail": {"password": "hunter2-ü", "totp": "JBSWY3DPEHPK3PXP", "source": {"kept": [1]}},
}


def add(device, kind="login", **changes):
    document = {**LOGIN, **changes}
    return device.run_json("add", kind, stdin=json.dumps(document))


@pytest.fixture
def mail(device):
    item = add(device)
    yield item
    device.types("rm", item["id"], "--forever", "--yes")


def test_item_added_as_json_is_shown_as_json(device, mail):
    shown = device.run_json("show", mail["id"], "--reveal")

    assert shown["overview"] == LOGIN["overview"]
    assert shown["detail"] == LOGIN["detail"]
    assert {name: shown[name] for name in ("id", "vault_id", "type", "revision")} == {
        name: mail[name] for name in ("id", "vault_id", "type", "revision")
    }


def test_item_can_be_named_by_unique_title(device, mail):
    assert device.run_json("show", "Mail")["id"] == mail["id"]


def test_ambiguous_title_is_rejected_and_ids_accepted(device, mail):
    twin = add(device)

    assert "id" in device.fails(1, "show", "Mail")
    assert device.run_json("show", twin["id"])["id"] == twin["id"]
    device.done("rm", twin["id"], "--forever", "--yes")


def test_unknown_item_exits_with_error(device):
    assert device.fails(1, "show", "Nothing of this name")


def test_secrets_are_printed_only_with_option(device, mail):
    result = [
        device.types("list"),
        device.types("list", "--json"),
        device.types("show", "Mail"),
        device.types("show", "Mail", "--json"),
        device.types("edit", "Mail", "--set", "folder=Work"),
        device.types("add", "login", "--json", stdin=json.dumps(LOGIN)),
    ]

    assert [each.returncode for each in result] == [0] * 6
    assert not [each for each in result if "hunter2" in each.stdout + each.stderr]
    assert "detail" not in json.loads(result[3].stdout)
    device.done("rm", json.loads(result[5].stdout)["id"], "--forever", "--yes")


def test_show_field_prints_only_the_value(device, mail):
    assert device.done("show", "Mail", "--field", "password") == "hunter2-ü\n"
    assert device.done("show", "Mail", "--field", "username") == "ann\n"
    assert device.run_json("show", "Mail", "--field", "urls") == ["https://mail.example"]
    assert "no field pin" in device.fails(1, "show", "Mail", "--field", "pin")


def test_show_reveal_prints_one_field_per_line(device, mail):
    lines = device.done("show", "Mail", "--reveal").splitlines()

    assert ["password", "hunter2-ü"] in [line.split() for line in lines]


def test_list_filters_items_by_words_and_type(device, mail):
    note = add(device, "note", overview={"title": "Mailing list"}, detail={"notes": "x"})

    assert {item["id"] for item in device.run_json("list", "MAIL")} == {mail["id"], note["id"]}
    assert [item["id"] for item in device.run_json("list", "mail", "ann")] == [mail["id"]]
    assert [item["id"] for item in device.run_json("list", "mail", "--type", "note")] == [
        note["id"]
    ]
    assert device.run_json("list", "nothing-of-this") == []
    device.done("rm", note["id"], "--forever", "--yes")


def test_control_characters_of_a_title_do_not_reach_the_terminal(device):
    item = add(device, overview={"title": "a\x1b[2Jb\u202ec"}, detail={})

    table = device.done("list", "b")

    assert "\x1b" not in table
    assert "a\\x1b[2Jb\\u202ec" in table
    device.done("rm", item["id"], "--forever", "--yes")


def test_edit_preserves_other_fields(device, mail):
    change = {"overview": {"username": "anna"}, "detail": {"password": "new", "totp": None}}

    edited = device.run_json("edit", "Mail", stdin=json.dumps(change))

    shown = device.run_json("show", mail["id"], "--reveal")
    assert edited["revision"] == shown["revision"] > mail["revision"]
    assert shown["overview"] == {**LOGIN["overview"], "username": "anna"}
    assert shown["detail"] == {"password": "new", "source": {"kept": [1]}}


def test_edit_accepts_the_output_of_show(device, mail):
    shown = device.run_json("show", "Mail", "--reveal")
    shown["detail"]["password"] = "from show"

    device.done("edit", mail["id"], "--json", stdin=json.dumps(shown))

    assert device.done("show", "Mail", "--field", "password") == "from show\n"


def test_edit_of_stale_revision_names_the_differing_fields(device, other_device, mail):
    seen = device.run_json("show", "Mail", "--reveal")
    other_device.done(
        "edit", mail["id"], "--json", stdin=json.dumps({"detail": {"password": "theirs"}})
    )

    stale = {"revision": seen["revision"], "detail": {"password": "ours"}}
    message = device.fails(1, "edit", mail["id"], "--json", stdin=json.dumps(stale))

    assert "detail.password" in message
    assert "vaultr show" in message
    assert "theirs" not in message
    assert "ours" not in message
    assert device.done("show", mail["id"], "--field", "password") == "theirs\n"
    fresh = {**stale, "revision": device.run_json("show", mail["id"])["revision"]}
    device.done("edit", mail["id"], "--json", stdin=json.dumps(fresh))
    assert other_device.done("show", mail["id"], "--field", "password") == "ours\n"


def test_fields_that_are_not_secret_are_set_by_options(device, mail):
    device.done("edit", "Mail", *("--set", "tags=a"), *("--set", "tags=b"), "--unset", "username")

    assert device.run_json("show", "Mail")["overview"] == {
        "title": "Mail",
        "urls": ["https://mail.example"],
        "tags": ["a", "b"],
    }


def test_secret_is_never_an_option_value(device, mail):
    message = device.fails(2, "edit", "Mail", "--set", "password=hunter3")

    assert "--secret" in message
    assert "hunter3" not in message


def test_one_secret_can_be_read_from_stdin(device, mail):
    device.done("edit", "Mail", "--secret", "password", stdin="by stdin\n")

    assert device.done("show", "Mail", "--field", "password") == "by stdin\n"


def test_item_can_be_trashed_and_restored(device, mail):
    trashed = device.run_json("rm", "Mail")

    assert trashed["state"] == "trash"
    assert mail["id"] not in [item["id"] for item in device.run_json("list")]
    assert mail["id"] in [item["id"] for item in device.run_json("list", "--trash")]
    assert device.run_json("restore", "Mail")["state"] == "active"
    assert mail["id"] in [item["id"] for item in device.run_json("list")]


def test_permanent_removal_asks_for_confirmation(device, mail):
    assert "--yes" in device.fails(2, "rm", "Mail", "--forever")

    assert device.run_json("rm", "Mail", "--forever", "--yes") == {"removed": True}
    assert device.fails(1, "show", mail["id"])


@pytest.mark.parametrize(
    ("stdin", "code", "expected"),
    [
        ("", 2, "not an item in JSON"),
        ("[]", 2, "not a JSON object"),
        ('{"overview": {"title": "a"}, "detials": {}}', 2, "detials"),
        ('{"overview": [], "detail": {}}', 2, "overview must be an object"),
        ('{"type": "note", "overview": {"title": "a"}}', 2, "is not login"),
        ('{"overview": {}}', 1, "overview.title is missing"),
        ('{"overview": {"title": "a", "password": "hunter2"}}', 1, "overview.password is secret"),
        ('{"overview": {"title": "a"}, "detail": {"password": 7}}', 1, "detail.password"),
    ],
)
def test_invalid_item_is_rejected_by_field_without_value(device, stdin, code, expected):
    message = device.fails(code, "add", "login", "--json", stdin=stdin)

    assert expected in message
    assert "hunter2" not in message


def test_environment_set_is_added_from_lines(device):
    device.done("add", "env_set", "--title", "lines", stdin="B=1\nA='x y'\n")

    item = device.run_json("show", "lines", "--reveal")

    assert list(item["detail"]["variables"].items()) == [("B", "1"), ("A", "x y")]
    assert device.done("show", "lines", "--field", "A") == "x y\n"
    device.done("rm", "lines", "--forever", "--yes")
