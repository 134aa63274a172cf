import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures import make_bitwarden
from tests.harness.client.devices import PROGRAM, pipe
from tests.harness.client.terminal import Terminal

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def sets(device):
    for title, variables in {
        "base": {"BASE": "1", "BOTH": "of base"},
        "prod": {"SECRET": "of prod ü\n2nd", "BOTH": "of prod", "PATH_LIKE": ""},
    }.items():
        document = {"overview": {"title": title}, "detail": {"variables": variables}}
        device.done("add", "env_set", "--json", stdin=json.dumps(document))


def test_command_receives_variables_of_the_set(device, sets):
    result = device.done("run", "--env-set", "prod", "--", sys.executable, "-c", SHOW)

    environ = json.loads(result)
    assert environ["SECRET"] == "of prod ü\n2nd"
    assert environ["PATH_LIKE"] == ""
    assert environ["HOME"] == device.environ["HOME"]


def test_conflicting_sets_fail_without_last_wins(device, sets):
    both = ("--env-set", "base", "--env-set", "prod")

    message = device.fails(2, "run", *both, "--", "true")
    result = device.done("run", *both, "--last-wins", "--", "sh", "-c", 'echo "$BASE $BOTH"')

    assert "BOTH (in base and prod)" in message
    assert "of prod" not in message
    assert result == "1 of prod\n"


def test_set_overrides_environment_and_vaultr_secrets_are_removed(device, sets):
    here = [("BOTH", "inherited"), ("VAULTR_PASSWORD", "x"), ("VAULTR_SECRET_KEY", "x")]

    environ = json.loads(
        device.done("run", "--env-set", "prod", "--", sys.executable, "-c", SHOW, env=here)
    )

    assert environ["BOTH"] == "of prod"
    assert {name for name in environ if name.startswith("VAULTR_")} <= {
        "VAULTR_AGENT",
        "VAULTR_DIR",
        "VAULTR_URL",
    }


@pytest.mark.parametrize("code", [0, 1, 3, 42])
def test_exit_code_of_command_is_returned(device, sets, code):
    assert (
        device.types("run", "--env-set", "prod", "--", "sh", "-c", f"exit {code}").returncode
        == code
    )


def test_unstartable_command_exits_as_in_a_shell(device, sets, tmp_path):
    assert "No such file" in device.fails(127, "run", "--env-set", "prod", "--", "no-such-cmd")
    assert "denied" in device.fails(126, "run", "--env-set", "prod", "--", str(tmp_path))


def test_run_with_unknown_set_exits_with_error(device, sets):
    assert "no environment set" in device.fails(1, "run", "--env-set", "other", "--", "true")


def test_command_options_are_passed_without_double_dash(device, sets):
    result = device.types("run", "--env-set", "prod", "--password-fd", "0", "echo", "--json", "-n",
                        password=None, stdin=device.password)  # fmt: skip

    assert (result.returncode, result.stdout) == (0, "--json -n\n")


def test_password_on_stdin_is_not_passed_to_command(device, sets):
    result = device.types("run", "--env-set", "prod", "--password-fd", "0", "--", "cat",
                        password=None, stdin=device.password)  # fmt: skip

    assert (result.returncode, result.stdout) == (0, "")


def test_stdin_is_empty_after_reading_password(account, sets):
    result = account.types("run", "--env-set", "prod", "--password-fd", "0", "--", "cat",
                         password=None, stdin=account.password)  # fmt: skip

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_signal_reaches_command_and_password_descriptor_does_not(device, sets):
    descriptor = pipe(device.password)
    words = ("run", "--env-set", "prod", "--password-fd", str(descriptor), "--", "sleep", "60")
    process = subprocess.Popen([*PROGRAM, *words], env=device.environ, pass_fds=[descriptor])
    os.close(descriptor)
    name = Path(f"/proc/{process.pid}/comm")
    until = time.monotonic() + 60
    while name.read_text().strip() != "sleep":
        assert time.monotonic() < until
        time.sleep(0.05)

    # The loader closes the libraries that it opens before the program starts.
    while (open_ones := sorted(map(int, os.listdir(f"/proc/{process.pid}/fd")))) != [0, 1, 2]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == -signal.SIGTERM
    assert open_ones == [0, 1, 2]


def test_bitwarden_export_of_500_entries_is_imported_completely(device, tmp_path):
    export = make_bitwarden.export(500)
    file = tmp_path / "export.json"
    file.write_text(make_bitwarden.as_text(export))
    before = {item["id"] for item in device.run_json("list")}

    reported = device.run_json("import", str(file))

    assert reported["imported"] == 500
    items = [item for item in device.run_json("list") if item["id"] not in before]
    assert sorted(item["overview"]["title"] for item in items) == sorted(
        entry["name"] for entry in export["items"]
    )
    login = next(entry for entry in export["items"] if entry["type"] == 1)
    result = device.done("show", login["name"], "--field", "password")
    assert result == login["login"]["password"] + "\n"


def test_import_with_one_invalid_entry_changes_nothing(device, tmp_path):
    export = make_bitwarden.export(20, seed=2)
    export["items"][11]["type"] = "99"
    file = tmp_path / "export.json"
    file.write_text(make_bitwarden.as_text(export))
    before = device.run_json("sync")

    message = device.fails(1, "import", str(file))

    assert "entry 12: type" in message
    assert [vault["head"] for vault in device.run_json("sync")] == [
        vault["head"] for vault in before
    ]


def test_command_keeps_its_core_file_limit(device, sets):
    limit = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"

    got = device.done("run", "--env-set", "base", "--", sys.executable, "-c", limit, password=None)

    assert got == f"{resource.getrlimit(resource.RLIMIT_CORE)}\n"


def test_command_with_secret_leaves_no_core_file(account):
    terminal = Terminal("list", environ=account.environ)
    terminal.waits_for("Master password: ")

    limits = Path(f"/proc/{terminal.child}/limits").read_text()
    terminal.answers("", account.password)

    assert "Max core file size        0 " in limits
    assert terminal.ends() == 0
