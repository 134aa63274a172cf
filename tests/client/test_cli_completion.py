"""Completion in real shells: always bash; zsh and fish if they are installed."""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

PROGRAM = f"#!{sys.executable}\nimport sys\nfrom vaultr.client.cli import main\nsys.exit(main())\n"
# The text before Tab, and the title that begins with it; if executed, each would create a file.
TRAPS = [
    ('"trap a', "trap a$(touch PWNED)"),
    ('"trap b', "trap b`touch PWNED`"),
    ('"trap c', 'trap c"; touch PWNED; "'),
    ("'trap d", "trap d'; touch PWNED; '"),
    ('"trap e"', "trap e; touch PWNED"),
    ("'trap f'", "trap f; touch PWNED"),
    ("trap\\ g", "trap g; touch PWNED"),
    ("trap\\ h", "trap h$(touch PWNED)"),
    ("tr'ap i", "tr'ap i'; touch PWNED; '"),
    ('tr"ap j', 'tr"ap j$(touch PWNED)"; touch PWNED; "'),
    ("trap\\ k'", "trap k'; touch PWNED; '"),
]
OTHERS = [each for each in ("zsh", "fish") if shutil.which(each)]


@pytest.fixture(scope="module")
def typed(device):
    """A device whose PATH has the command, with items that have odd titles."""
    folder = device.home / "completion-bin"
    folder.mkdir()
    (folder / "vaultr").write_text(PROGRAM)
    (folder / "vaultr").chmod(0o755)
    device.environ = {**device.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    titles = ("zeta", "zeta post", 'zeta\'s $HOME, "x"', "zeta\nsecond line")
    for title in (*titles, *(trap for _, trap in TRAPS)):
        item = {"overview": {"title": title}, "detail": {"password": "hunter2"}}
        device.done("add", "login", "--json", stdin=json.dumps(item))
    variables = {"overview": {"title": "zeta set"}, "detail": {"variables": {"A": "1"}}}
    device.done("add", "env_set", "--json", stdin=json.dumps(variables))
    return device


@pytest.fixture
def in_bash(typed, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(typed.done("completion", "bash", password=None))

    def complete(*words):
        """Complete the last word, as bash does on Tab."""
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        program = (
            f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1};"
            'compopt() { echo "<$*>"; };'
            '_vaultr_completion; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True,
                              env=typed.environ, timeout=60)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return complete


def test_bash_completes_commands_options_and_choices(in_bash):
    assert in_bash("vaultr", "he") == ["health"]
    assert set(in_bash("vaultr", "s")) >= {"show", "signup", "sync"}
    assert "--reveal" in in_bash("vaultr", "show", "--re")
    assert in_bash("vaultr", "completion", "z") == ["zsh"]
    assert in_bash("vaultr", "export", "x", "--format", "d") == ["dotenv", "docker"]
    assert in_bash("vaultr", "vaults", "r")[0] == "rename"


def test_bash_completes_titles_with_spaces_as_one_word(in_bash):
    offered = in_bash("vaultr", "show", "zeta")

    # bash parses the text that it inserts as exactly one word.
    read = subprocess.run(
        ["bash", "-c", "printf '%s\\n' " + " ".join(offered)], capture_output=True, text=True
    ).stdout.splitlines()
    assert read == ["zeta", "zeta post", "zeta set", 'zeta\'s $HOME, "x"']


def test_bash_completes_plain_characters_within_quotes(in_bash):
    # Within single quotes only the quote is special; within double quotes four more characters are.
    assert in_bash("vaultr", "show", "'zeta") == ["zeta", "zeta post", "zeta set"]
    assert in_bash("vaultr", "show", "'trap a") == ["trap a$(touch PWNED)"]
    assert in_bash("vaultr", "show", '"trap d') == ["trap d'; touch PWNED; '"]
    assert in_bash("vaultr", "show", '"trap a') == [""]
    assert in_bash("vaultr", "show", '"zeta"') == [""]


@pytest.mark.parametrize(("begun", "title"), TRAPS)
@pytest.mark.matrix(2)
def test_completed_title_is_never_executed_by_bash(typed, tmp_path, begun, title):
    script = tmp_path / "completion.bash"
    script.write_text(typed.done("completion", "bash", password=None))
    environ = {**typed.environ, "PS1": "ready> ", "TERM": "dumb"}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environ)

    _type(terminal, f"source {script}\n")
    _type(terminal, f"vaultr show {begun}\t\n", seconds=2)
    _type(terminal, "\x03")  # of an incomplete line
    _type(terminal, "touch ended\n")
    os.close(terminal)
    os.waitpid(child, 0)

    assert [each.name for each in tmp_path.iterdir() if each != script] == ["ended"]


def test_bash_completes_sets_vaults_and_files_by_option(in_bash):
    assert in_bash("vaultr", "run", "--env-set", "zeta") == ["zeta\\ set"]
    assert "Personal" in in_bash("vaultr", "show", "x", "--vault", "Per")
    assert "<-o default>" in in_bash("vaultr", "run", "--env-file", "")


def test_bash_completes_fields_of_the_named_item(in_bash):
    assert in_bash("vaultr", "show", "zeta", "--field", "pass") == ["password"]
    assert set(in_bash("vaultr", "edit", "zeta set", "--secret", "")) == {"A", "title"}
    assert in_bash("vaultr", "show", "--field", "") == [""]
    assert in_bash("vaultr", "show", "no such item", "--field", "") == [""]


def test_bash_completes_items_that_can_be_restored(in_bash, typed):
    item = {"overview": {"title": "omega in the trash"}}
    typed.done("rm", typed.run_json("add", "note", stdin=json.dumps(item))["id"])

    assert in_bash("vaultr", "restore", "omega") == ["omega\\ in\\ the\\ trash"]
    assert in_bash("vaultr", "restore", "zeta") == [""]
    assert "zeta" in in_bash("vaultr", "restore", "--revision", "1", "zeta")


def test_locked_device_completes_nothing_silently(typed, account):
    environ = {
        **account.environ, "PATH": typed.environ["PATH"],
        "_VAULTR_COMPLETE": "bash_complete", "COMP_WORDS": "vaultr\nshow\nze", "COMP_CWORD": "2",
    }  # fmt: skip

    done = subprocess.run(["vaultr"], env=environ, capture_output=True, text=True)

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.parametrize("words", ["", "vaultr", "vaultr\nshow\n\xff", "vaultr\n" * 50])
@pytest.mark.parametrize("place", ["0", "99", "x", "-1"])
def test_malformed_completion_request_prints_no_traceback(typed, words, place):
    environ = {**typed.environ, "_VAULTR_COMPLETE": "bash_complete",
               "COMP_WORDS": words, "COMP_CWORD": place}  # fmt: skip

    done = subprocess.run(["vaultr"], env=environ, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


def test_completion_reaches_no_server(typed):
    environ = {**typed.environ, "_VAULTR_COMPLETE": "bash_complete", "VAULTR_URL": "",
               "COMP_WORDS": "vaultr\nshow\nzeta", "COMP_CWORD": "2"}  # fmt: skip
    program = (
        "import sys; sys.addaudithook(lambda name, _: name.startswith('socket.getaddrinfo')"
        " and sys.exit('asked'));"
        "from vaultr.client.cli import main; sys.exit(main())"
    )

    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True)

    assert done.returncode == 0
    assert b"zeta post" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_can_be_printed_as_json(typed, shell):
    reported = typed.run_json("completion", shell, password=None)

    assert reported["shell"] == shell
    assert reported["script"].rstrip("\n") == typed.done("completion", shell, password=None).rstrip(
        "\n"
    )
    assert "_VAULTR_COMPLETE" in reported["script"]


def test_bash_completion_script_has_valid_syntax(typed):
    script = typed.done("completion", "bash", password=None)

    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


@pytest.mark.parametrize("shell", OTHERS)
def test_zsh_and_fish_complete_titles_on_tab(typed, tmp_path, shell):
    """The shell runs on a terminal; the test presses Tab and checks the executed command."""
    script = tmp_path / f"completion.{shell}"
    script.write_text(typed.done("completion", shell, password=None))
    start = {
        "zsh": ["zsh", "-f", "-i"],
        "fish": ["fish", "--no-config", "-i"],
    }[shell]
    load = {
        "zsh": f"autoload -Uz compinit; compinit -u -D; source {script}",
        "fish": f"source {script}",
    }[shell]
    shown = tmp_path / "shown"
    environ = {**typed.environ, "TERM": "dumb" if shell == "zsh" else "xterm", "PS1": "ready> "}

    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(start[0], start, environ)
    _type(terminal, load + "\n")
    _type(terminal, f"vaultr show 'zeta p\t --field password > {shown}\n", seconds=3)
    until = time.monotonic() + 30
    while not (shown.exists() and shown.read_text()) and time.monotonic() < until:
        _drain(terminal, 0.2)
    _type(terminal, "exit\n")
    os.close(terminal)
    os.waitpid(child, 0)

    assert shown.read_text() == "hunter2\n"


def _type(terminal, text, seconds=1.0):
    head, tab, rest = text.partition("\t")
    os.write(terminal, head.encode() + tab.encode())
    _drain(terminal, seconds)
    if rest:
        os.write(terminal, rest.encode())
        _drain(terminal, seconds)


def _drain(terminal, seconds):
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                return
