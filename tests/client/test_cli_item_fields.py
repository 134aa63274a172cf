"""`add` and `edit` set every field of an item: by options, prompts, a pipe or an editor."""

import json
import signal
import stat
import sys
from pathlib import Path

import pytest

from tests.harness.client.terminal import Terminal


@pytest.fixture
def router(device):
    device.done(
        *("add", "login", "--title", "Router", "--username", "ann", "--tag", "home"),
        *("--address", "http://10.0.0.1", "--match", "host", "--folder", "Home/Net"),
        *("--field", "model=X1", "--stdin", "password", "--favourite"),
        stdin="from a pipe\n",
        password=None,
    )
    item = device.run_json("show", "Router", "--reveal", password=None)
    yield item
    device.done("rm", item["id"], "--forever", "--yes", password=None)


def at_terminal(device, *words, **env):
    return Terminal(*words, environ={**device.environ, "TERM": "xterm", "COLUMNS": "100", **env})


def test_add_sets_every_field_from_options(router):
    assert router["overview"] == {
        "title": "Router",
        "username": "ann",
        "urls": ["http://10.0.0.1"],
        "url_match": {"http://10.0.0.1": "host"},
        "folder": "Home/Net",
        "tags": ["home"],
        "favourite": True,
    }
    assert router["detail"] == {
        "password": "from a pipe",
        "fields": [{"name": "model", "kind": "text", "value": "X1"}],
    }


def test_edit_sets_and_removes_custom_fields(device, router):
    device.done("edit", router["id"], "--field", "model=X2", "--field", "port=8080", password=None)
    device.done("edit", router["id"], "--secret-field", "pin", stdin="1234", password=None)
    device.done("edit", router["id"], "--unset", "port", "--folder", "Attic", password=None)

    shown = device.run_json("show", router["id"], "--reveal", password=None)
    assert shown["detail"]["fields"] == [
        {"name": "model", "kind": "text", "value": "X2"},
        {"name": "pin", "kind": "hidden", "value": "1234"},
    ]
    assert shown["overview"]["folder"] == "Attic"
    assert device.done("show", router["id"], "--field", "pin", password=None) == "1234\n"
    revealed = device.done("show", router["id"], "--reveal", password=None)
    assert [line.split()[-1] for line in revealed.splitlines() if line.startswith("pin")] == [
        "1234"
    ]


def test_terminal_prompts_for_several_secrets(device):
    terminal = at_terminal(
        device, "add", "env_set", "--title", "Typed", "--secret", "A", "--secret", "B"
    )
    terminal.answers("A: ", "one")
    terminal.answers("B: ", "two")

    assert terminal.ends() == 0
    assert device.run_json("export", "Typed", password=None) == {"A": "one", "B": "two"}
    device.done("rm", "Typed", "--forever", "--yes", password=None)


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (("add", "login", "--title", "x"), "pw", "--stdin password"),
        (("add", "note", "--title", "x"), "\n", "is empty"),
        (("add", "login", "--title", "x", "--stdin", "pasword"), "pw", "Similar: password"),
        (("add", "login", "--title", "x", "--match", "host"), "", "--match needs --address"),
        (("add", "login", "--title", "x", "--field", "pin"), "", "--secret-field NAME"),
        (("add", "login", "--json", "--secret", "password"), "{}", "Do not combine"),
        (("add", "login", "--editor", "--title", "x"), "", "--editor needs a terminal"),
    ],
)
def test_unusable_input_exits_2_with_advice(device, words, stdin, message):
    assert message in device.fails(2, *words, stdin=stdin, password=None)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"detail": {"pasword": "hunter2"}},
            "detail.pasword is not a field of login. Similar: passw",
        ),
        ({"overview": {"title": "x", "user": "a"}}, "overview.user is not a field of login"),
        ({"overveiw": {}}, "Similar: overview"),
    ],
)
def test_unknown_fields_in_json_are_rejected(device, document, message):
    error_text = device.fails(
        2, "add", "login", "--json", stdin=json.dumps(document), password=None
    )

    assert message in error_text
    assert "hunter2" not in error_text


def test_item_url_as_server_url_suggests_address_option(device):
    words = ("add", "login", "--title", "x", "--url", "https://mail.example", "--generate")

    message = device.fails(2, *words, stdin="", password=None)

    assert "Nothing was sent to https://mail.example." in message
    assert "use --address" in message
    assert "another server: do not type your password" not in message


EDITOR = """
import json, pathlib, sys
file = pathlib.Path(sys.argv[1])
pathlib.Path({log!r}).write_text(f"{{file}} {{oct(file.stat().st_mode)}}")
item = json.loads(file.read_text())
item["detail"]["notes"] = "written in the editor"
item["detail"].pop("fields")
file.with_suffix(".swp").write_text("left behind")
file.write_text(json.dumps(item))
sys.exit({code})
"""


@pytest.fixture
def editor(tmp_path):
    def make(code=0):
        program = tmp_path / "editor.py"
        program.write_text(EDITOR.format(log=str(tmp_path / "log"), code=code))
        return f"{sys.executable} {program}"

    return make


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (3, 1)])
def test_editor_gets_a_private_file_in_memory_that_is_removed(
    device, router, editor, tmp_path, code, ends
):
    terminal = at_terminal(device, "edit", router["id"], "--editor", EDITOR=editor(code))

    assert terminal.ends() == ends, terminal.shown
    name, mode = (tmp_path / "log").read_text().split()
    assert stat.S_IMODE(int(mode, 8)) == 0o600
    assert not Path(name).parent.exists()
    detail = device.run_json("show", router["id"], "--reveal", password=None)["detail"]
    assert detail.get("notes") == ("written in the editor" if code == 0 else None)
    assert ("fields" in detail) is (code != 0)


KILLER = """
import os, pathlib, signal, sys
pathlib.Path({log!r}).write_text(sys.argv[1])
os.kill(os.getppid(), signal.SIGKILL)
"""


def test_next_command_removes_file_of_killed_edit(device, router, tmp_path):
    program = tmp_path / "killer.py"
    program.write_text(KILLER.format(log=str(tmp_path / "log")))
    editor = f"{sys.executable} {program}"
    killed = at_terminal(device, "edit", router["id"], "--editor", EDITOR=editor).ends()

    device.done("status", password=None)

    assert killed == -signal.SIGKILL
    assert not Path((tmp_path / "log").read_text()).parent.exists()
