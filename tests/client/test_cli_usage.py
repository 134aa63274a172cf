import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.harness import forked_programs
from tests.harness.client.terminal import Terminal
from vaultr.client.cli.main import vaultr
from vaultr.client.cli.options import GlobalOptions, pass_options
from vaultr.client.cli.suggestions import OTHER_NAMES

PROGRAM = (
    sys.executable,
    "-c",
    "import sys; from vaultr.client.cli import main; sys.exit(main())",
)
HEAVY = ("httpx2", "cryptography", "argon2", "ssl", "flask", "zipfile")
FIXTURES = Path(__file__).parent.parent / "fixtures"


def commands(group=vaultr, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def run(*arguments, home, **more):
    """Run the command as a process without a terminal, and without a server."""
    environ = forked_programs.own_environ() | {"VAULTR_DIR": str(home), "VAULTR_AGENT": "off"}
    environ |= {"VAULTR_URL": "http://127.0.0.1:9", **more.pop("env", {})}
    stdin = more.pop("input", "")
    return forked_programs.run([*PROGRAM, *arguments], stdin=stdin, env=environ, timeout=60, **more)


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(path):
    result = CliRunner().invoke(vaultr, [*path, "--help"])

    assert result.exit_code == 0
    examples = result.stdout.split("Examples:\n")[1].splitlines()
    assert all("vaultr" in example for example in examples)
    assert any(f"vaultr {' '.join(path)}" in example for example in examples)
    assert "--json" in result.stdout


def test_help_lists_commands_without_truncated_descriptions():
    result = CliRunner().invoke(vaultr, ["--help"])

    assert "..." not in result.stdout.split("Get started:")[1]
    assert "Commands:" not in result.stdout, "each command has its section"
    assert "Exit codes:" in result.stdout


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_no_option_accepts_a_secret(path):
    command = dict(commands())[path]
    names = {name for parameter in command.params for name in parameter.opts}

    harmless = {"--key-file", "--password-fd", "--secret-key-fd", "--totp-fd", "--file-password-fd"}
    harmless |= {"--no-secret-key", "--new-secret-key", "--new-password-fd", "--recovery-key-fd"}
    harmless |= {"--tls-key"}  # a file, like --key-file
    assert not [
        name
        for name in names - harmless - {"--secret", "--secret-field"}
        if re.search("passw|secret|key|totp|code", name)
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "https://a.example", "probe"],
        ["probe", "--url", "https://a.example"],
        ["--url", "https://b.example", "probe", "--url", "https://a.example"],
    ],
)
def test_options_work_before_and_after_command_and_last_wins(arguments):
    found = []

    @vaultr.command("probe")
    @pass_options
    def probe(options):
        found.append(options)

    try:
        result = CliRunner().invoke(vaultr, [*arguments, "--json"], env={"VAULTR_URL": "https://c"})
    finally:
        del vaultr.commands["probe"]
    assert result.exit_code == 0, result.output
    assert found == [GlobalOptions(url="https://a.example", json=True)]
    assert found[0].server == "https://a.example"


def test_server_comes_from_environment_without_option(monkeypatch):
    monkeypatch.setenv("VAULTR_URL", "https://c.example")

    assert GlobalOptions().server == "https://c.example"
    assert GlobalOptions(url="https://a.example").server == "https://a.example"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["list", "--no-such-option"],
        ["list", "--type", "passport"],
        ["show"],
        ["add", "passport"],
        ["login", "--password-fd", "x"],
        ["login", "--password-fd", "-1"],
        ["login", "--no-secret-key", "--secret-key-fd", "3"],
        ["run", "--env-set", "prod"],
        ["run", "--", "true"],
        ["import", "no-such-file.json"],
        ["vaults", "no-such-command"],
        ["verify"],
    ],
)
def test_invalid_usage_exits_2_with_empty_stdout(arguments, tmp_path):
    text = run(*arguments, home=tmp_path)

    assert text.returncode == 2
    assert text.stdout == ""
    assert text.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["add"], "Missing TYPE."),
        (["rm"], "Missing ITEM."),
        (["run"], "Missing COMMAND."),
        (["read"], "Missing REFERENCE."),
        (["vaults"], "Missing COMMAND: list, add, rename, rm."),
        (["vaults", "add"], "Missing NAME."),
    ],
)
def test_missing_argument_help_ends_with_what_is_missing(words, expected, tmp_path):
    text = run(*words, home=tmp_path)

    assert (text.returncode, text.stdout) == (2, "")
    assert text.stderr.splitlines()[-1] == f"vaultr: {expected}"


def test_command_names_of_other_tools_suggest_ours():
    names = {" ".join(path) for path, _ in commands()}

    for word, ours in OTHER_NAMES.items():
        result = CliRunner().invoke(vaultr, [word, "Mail"])
        assert result.exit_code == 2
        assert f"Try: vaultr {ours}" in result.output
        assert word not in names
        assert ours.startswith(("--", "COMMAND")) or ours.split(",")[0] in names


def test_run_without_variables_explains_all_sources(tmp_path):
    reported = run("run", "--", "true", home=tmp_path).stderr

    assert all(way in reported for way in ("--env-set", "--env-file", "vaultr://VAULT/ITEM/FIELD"))


def test_one_descriptor_cannot_hold_two_secrets(tmp_path):
    text = run(
        "login", "--email", "a@b.c", "--password-fd", "0", "--secret-key-fd", "0", home=tmp_path
    )

    assert text.returncode == 2
    assert "must differ" in text.stderr


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\n", "is not UTF-8")],
)
def test_descriptor_without_password_exits_2(data, expected, tmp_path):
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)

    text = run(
        *("signup", "--email", "a@b.c", "--password-fd", str(reading)),
        home=tmp_path,
        pass_fds=[reading],
    )

    os.close(reading)
    assert (text.returncode, text.stdout) == (2, "")
    assert f"--password-fd {reading} {expected}" in text.stderr


def test_closed_descriptor_exits_2(tmp_path):
    text = run("signup", "--email", "a@b.c", "--password-fd", "77", home=tmp_path)

    assert text.returncode == 2
    assert "--password-fd 77: Bad file descriptor" in text.stderr


def test_weak_password_exits_1_before_sending(tmp_path):
    text = run("signup", "--email", "a@b.c", "--password-fd", "0", home=tmp_path, input="short\n")

    assert (text.returncode, text.stdout) == (1, "")
    assert "at least 15 characters" in text.stderr


def test_dry_run_of_import_needs_no_account(tmp_path):
    text = run("import", str(FIXTURES / "bitwarden-old.json"), "--dry-run", "--json", home=tmp_path)

    assert (text.returncode, text.stderr) == (0, "")
    answer = json.loads(text.stdout)
    assert (answer["read"], answer["imported"]) == (2, 0)
    assert answer["types"] == {"login": 1, "note": 1}
    assert {"kind": "login", "type": "login", "entries": 1} in answer["kinds"]
    assert {"kind": "login", "field": "uris", "becomes": "urls", "values": 1} in answer["fields"]
    assert answer["left_out"] == []


def test_malformed_import_exits_1_with_one_line_per_entry(tmp_path):
    file = tmp_path / "export.json"
    entries = [{"type": "9"}, {"type": 1, "name": "a", "login": {"password": ["hunter2"]}}]
    file.write_text(json.dumps({"encrypted": False, "folders": [], "items": entries}))

    text = run("import", str(file), "--dry-run", home=tmp_path)

    assert (text.returncode, text.stdout) == (1, "")
    assert "vaultr: entry 1: type must be a whole number" in text.stderr
    assert "vaultr: entry 2: login.password must be text" in text.stderr
    assert "Nothing was imported" in text.stderr
    assert "hunter2" not in text.stderr


def test_protected_import_reads_file_password_from_descriptor(tmp_path):
    text = run(
        *("import", str(FIXTURES / "bitwarden-protected.json"), "--dry-run"),
        *("--file-password-fd", "0"),
        home=tmp_path,
        input="export password\n",
    )

    assert text.returncode == 0
    assert text.stdout.startswith("Can be imported: 1 item (1 login).\n")


def test_dotenv_file_can_be_read_from_stdin(tmp_path):
    text = run("import", "-", "--title", "prod", "--dry-run", home=tmp_path, input="A=1\nB=2\n")

    assert text.returncode == 0
    assert text.stdout.startswith("Can be imported: prod (2 variables).\n")


def test_closed_stdout_causes_no_traceback(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)

    process = subprocess.run(
        [*PROGRAM, "import", str(FIXTURES / "bitwarden-old.json"), "--dry-run"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )

    os.close(writing)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr


def test_help_loads_neither_the_network_nor_ciphers():
    code = (
        "import sys; from vaultr.client.cli import main; main(['--help']);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_at_prompt_exits_130_without_password_echo(site, tmp_path):
    environ = {**os.environ, "VAULTR_DIR": str(tmp_path), "VAULTR_URL": site.url}
    terminal = Terminal("signup", "--email", "a@b.example", environ=environ)
    terminal.answers("New master password: ", "correct horse battery")
    terminal.presses_ctrl_c("(again): ")

    assert terminal.ends() == 130
    assert "Interrupted." in terminal.shown
    assert "horse" not in terminal.shown
