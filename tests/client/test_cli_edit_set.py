"""Edit an environment set: set or remove one variable, keep all others."""

import json

import pytest

from tests.harness.client.terminal import at_terminal

HELD = {"A": "1", "B": "2", "C": "3"}


@pytest.fixture
def prod(device):
    item = device.run_json(
        "add", "env_set", "--title", "prod", "--json", stdin=json.dumps(document(HELD))
    )
    yield item
    device.done("rm", item["id"], "--forever", "--yes")


def document(variables):
    return {"overview": {"title": "prod"}, "detail": {"variables": variables}}


def exported(device, item):
    return device.run_json("export", item["id"])


def change(variables, **more):
    return json.dumps({"detail": {"variables": variables}, **more})


def test_variable_is_set_from_stdin_and_others_are_unchanged(device, prod):
    result = device.types("edit", "prod", "--secret", "A", stdin="it's $new\n")

    assert result.returncode == 0
    assert "$new" not in result.stdout + result.stderr
    assert exported(device, prod) == {**HELD, "A": "it's $new"}


def test_new_variable_is_reported_as_new(device, prod):
    result = device.types("edit", "prod", "--secret", "variables.DATABSE_URL", stdin="x")

    assert "DATABSE_URL is a new variable of prod." in result.stderr
    assert exported(device, prod) == {**HELD, "DATABSE_URL": "x"}


def test_variable_may_have_name_of_a_field(device, prod):
    device.done("edit", "prod", "--secret", "history", stdin="1")
    device.done("edit", "prod", "--secret", "variables.source", stdin="2")

    assert exported(device, prod) == {**HELD, "history": "1", "source": "2"}


def test_variable_is_set_while_others_are_removed(device, prod):
    device.done("edit", "prod", "--unset", "B", *("--secret", "D", "--unset", "C"), stdin="4")

    assert exported(device, prod) == {"A": "1", "D": "4"}


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--unset", "NONE"), 1, "no field NONE"),
        (("--secret", "9A"), 2, "letters, digits and _"),
        (("--secret", "variables"), 2, "letters, digits and _"),
        (("--secret", "source"), 2, "source is not a variable name"),
        (("--secret", "A", "--unset", "A"), 2, "Either set or remove A, not both"),
        (("--secret", "A", "--secret", "B"), 2, "only one --secret"),
        (("--set", "A=9"), 2, "--secret NAME"),
    ],
)
def test_invalid_set_option_is_rejected_and_changes_nothing(device, prod, words, code, expected):
    assert expected in device.fails(code, "edit", "prod", *words, stdin="typed")
    assert exported(device, prod) == HELD


def test_unknown_field_is_rejected_with_valid_names(device):
    stdin = json.dumps({"overview": {"title": "Mail of the set"}})
    item = device.run_json("add", "login", stdin=stdin)

    message = device.fails(2, "edit", item["id"], "--secret", "A", stdin="typed")

    assert "Its secret fields: password, totp, password_rule, notes." in message
    device.done("rm", item["id"], "--forever", "--yes")


def test_json_changes_named_variables_and_null_removes(device, prod):
    device.done("edit", "prod", "--json", stdin=change({"A": "9", "B": None, "D": "4"}))

    assert exported(device, prod) == {"A": "9", "C": "3", "D": "4"}


def test_variables_set_on_two_devices_are_merged(device, other_device, prod):
    seen = device.run_json("show", "prod")["revision"]
    other_device.done("edit", prod["id"], "--secret", "B", stdin="theirs")
    other_device.done("edit", prod["id"], "--unset", "C")

    device.done("edit", "prod", "--json", stdin=change({"A": "ours"}, revision=seen))

    assert exported(device, prod) == {"A": "ours", "B": "theirs"}


def test_variable_changed_on_two_devices_is_a_named_conflict(device, other_device, prod):
    seen = device.run_json("show", "prod")["revision"]
    other_device.done("edit", prod["id"], "--secret", "B", stdin="theirs")

    message = device.fails(
        1, "edit", "prod", "--json", stdin=change({"A": "x", "B": None}, revision=seen)
    )

    assert "detail.variables.B" in message
    assert "detail.variables.A" not in message
    assert exported(device, prod) == {**HELD, "B": "theirs"}


def test_terminal_prompts_for_variables_and_no_username(account):
    item = account.run_json(
        "add", "env_set", "--title", "typed", "--json", stdin=json.dumps(document(HELD))
    )

    terminal = at_terminal(account, "edit", item["id"])
    terminal.answers("Master password: ", account.password)
    terminal.answers("Title [typed]: ", "")
    terminal.answers("Folder: ", "")
    terminal.answers("Variable to set (empty to finish): ", "not a name")
    terminal.answers("Variable to set (empty to finish): ", "B")
    terminal.answers("New B: ", "by hand")
    terminal.answers("(again): ", "by hand")
    terminal.answers("Variable to set (empty to finish): ", "")

    assert terminal.ends() == 0
    assert "by hand" not in terminal.shown
    assert "Variables: A, B, C" in terminal.shown
    assert "A variable name has letters, digits and _, not starting with a digit." in terminal.shown
    assert "Username" not in terminal.shown
    assert exported(account, item) == {**HELD, "B": "by hand"}
    account.done("rm", item["id"], "--forever", "--yes")


def test_note_is_retyped_at_terminal_or_unchanged(account):
    stdin = json.dumps({"overview": {"title": "Typed anew"}, "detail": {"notes": "old"}})
    item = account.run_json("add", "note", stdin=stdin)

    keeping = at_terminal(account, "edit", item["id"])
    keeping.answers("Master password: ", account.password)
    keeping.answers("Title [Typed anew]: ", "")
    keeping.answers("Folder: ", "Drawer")
    keeping.waits_for("on a new line, or press Ctrl-D immediately to keep the stored text.")
    keeping.presses("\x04")
    assert keeping.ends() == 0
    assert "Username" not in keeping.shown
    assert account.done("show", item["id"], "--field", "notes") == "old\n"

    typing = at_terminal(account, "edit", item["id"], "--secret", "notes")
    typing.answers("Master password: ", account.password)
    typing.answers("Ctrl-D", "first line\nsecond line")
    typing.presses("\x04")
    assert typing.ends() == 0
    assert "first line" not in typing.shown
    assert account.run_json("show", item["id"], "--field", "notes") == "first line\nsecond line\n"
    account.done("rm", item["id"], "--forever", "--yes")
