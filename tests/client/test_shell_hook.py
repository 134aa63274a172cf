"""The hook loads and unloads sets in real shells, and only for allowed, unchanged files."""

import shlex
import shutil
import subprocess

import pytest

from tests.harness.client.devices import PROGRAM
from vaultr.client.errors import UsageError
from vaultr.client.integrations.shell_hook import AllowedFiles, enter, sets_in
from vaultr.client.storage.private_folder import Folder

HOSTILE = "quote ' \" $HOME `id` $(id)\nline \\ end"


@pytest.fixture
def project(device, tmp_path):
    variables = tmp_path / "hook.env"
    variables.write_text("HOOK_A='one two'\nHOOK_B=\"it's \\$HOME\"\n")
    device.done("import", str(variables), "--title", "hooked")
    (folder := tmp_path / "project").mkdir()
    (folder / "inner").mkdir()
    (folder / ".vaultr").write_text("# sets of this project\nvaultr://Personal/hooked\n")
    yield folder
    device.done("rm", "hooked", "--forever", "--yes")


def in_shell(device, tmp_path, shell, lines):
    program = shutil.which(shell)
    assert program, f"{shell} is missing: install Debian's {shell} (make tools)"
    (programs := tmp_path / "bin").mkdir(exist_ok=True)
    (command := programs / "vaultr").write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    command.chmod(0o755)
    environment = {
        **device.environ,
        "PATH": f"{programs}:{device.environ['PATH']}",
        "HOOK_B": "mine",
    }
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    start = {"fish": "vaultr hook fish | source"}.get(shell, f'eval "$(vaultr hook {shell})"')
    script = "\n".join([start, *lines])
    return subprocess.run([program, *quiet, "-c", script], env=environment, capture_output=True,
                          text=True, timeout=240, start_new_session=True)  # fmt: skip


@pytest.mark.parametrize(
    "shell",
    ["bash", pytest.param("zsh", marks=pytest.mark.long),
     pytest.param("fish", marks=pytest.mark.long)],
)  # fmt: skip
def test_sets_are_loaded_on_entering_and_unloaded_on_leaving(shell, device, project, tmp_path):
    device.done("allow", str(project), password=None)
    prompt = ["_vaultr_hook"] if shell == "bash" else []
    show = 'echo "[$HOOK_A|$HOOK_B]"'

    text = in_shell(device, tmp_path, shell, [
        show, f"cd {project}/inner", *prompt, show, f"cd {tmp_path}", *prompt, show])  # fmt: skip

    assert text.stdout.splitlines() == ["[|mine]", "[one two|it's $HOME]", "[|mine]"], text.stderr
    assert "loaded 2 variables: HOOK_A, HOOK_B" in text.stderr


def test_file_that_is_not_allowed_or_changed_loads_nothing(device, project, tmp_path):
    show = ["_vaultr_hook", 'echo "[$HOOK_A]"']

    never = in_shell(device, tmp_path, "bash", [f"cd {project}", *show])
    device.done("allow", str(project), password=None)
    (project / ".vaultr").write_text("vaultr://Personal/hooked\nvaultr://Personal/other\n")
    changed = in_shell(device, tmp_path, "bash", [f"cd {project}", *show])
    denied = device.done("deny", str(project), password=None)

    for arguments in (never, changed):
        assert arguments.stdout == "[]\n"
        assert "is not allowed, or has changed" in arguments.stderr
    assert denied.startswith("Denied: ")


@pytest.mark.parametrize(
    "line", ["PASSWORD=x", "vaultr://Personal/Mail/password", "$(id)", "vaultr://Personal/a b"]
)
def test_file_with_anything_but_set_references_is_rejected(line):
    with pytest.raises(UsageError, match="Line 2 is not a reference to an environment set"):
        sets_in(f"# fine\n{line}\n".encode())


def test_hook_permission_requires_same_path_and_content(tmp_path):
    allowed = AllowedFiles(Folder(tmp_path / "home"))
    file = tmp_path / ".vaultr"

    allowed.allow(file, b"vaultr://a/b")

    assert allowed.is_allowed(file, b"vaultr://a/b")
    assert not allowed.is_allowed(file, b"vaultr://a/c")
    assert not allowed.is_allowed(tmp_path / "x" / ".vaultr", b"vaultr://a/b")
    assert allowed.deny(file)
    assert not allowed.is_allowed(file, b"vaultr://a/b")


@pytest.mark.parametrize("shell", ["bash", pytest.param("fish", marks=pytest.mark.long)])
def test_hostile_values_are_set_and_restored_unchanged(shell, tmp_path):
    code = enter(shell, {"A": HOSTILE}, {"A": "before " + HOSTILE}, shlex.quote)
    check = "printf '%s\\0' \"$A\""
    leave = "eval $_VAULTR_LEAVE" if shell == "fish" else 'eval "$_VAULTR_LEAVE"'

    done = subprocess.run([shutil.which(shell), "-c", f"{code}{check}\n{leave}\n{check}\n"],
                          capture_output=True, text=True, timeout=60)  # fmt: skip

    assert done.stdout.split("\0")[:2] == [HOSTILE, "before " + HOSTILE]
