"""The README's commands, typed into a shell on a terminal in the order of the page."""

import os
import pty
import re
import select

import pytest

from tests.harness.client.local_server import BIN, ROOT, Site
from tests.harness.runtime_folder import RuntimeFolder

PASSWORD = "gravel-harbour-violet-tundra-7"
SECRET = "amber lantern quilt"
PROMPT = "ready> "
PATIENCE_SECONDS = 60
# The input for each prompt of a command.
ANSWERS = {
    "signup": [("New master password: ", PASSWORD), ("(again): ", PASSWORD)],
    "unlock": [("Master password: ", PASSWORD)],
    "add login": [("Password (empty for none): ", SECRET), ("TOTP secret", "")],
}


class Shell:
    """A shell on a pseudo-terminal."""

    def __init__(self, environ, folder):
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting"], environ)
        self._shown, self._read_to = "", 0
        self._wait_for(PROMPT)

    def run(self, command, answers=()):
        """Type a command and answer its prompts; return the output."""
        began = self._read_to
        self._write(command)
        for prompt, answer in answers:
            self._wait_for(prompt)
            self._write(answer)
        self._wait_for(PROMPT)
        return self._shown[began : self._read_to - len(PROMPT)].replace("\r\n", "\n")

    def exit(self):
        self._write("exit")
        _, status = os.waitpid(self._child, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _write(self, text):
        os.write(self._terminal, text.encode() + b"\n")

    def _wait_for(self, text):
        while (found := self._shown.find(text, self._read_to)) < 0:
            ready, _, _ = select.select([self._terminal], [], [], PATIENCE_SECONDS)
            assert ready, self._shown
            self._shown += os.read(self._terminal, 65536).decode(errors="replace")
        self._read_to = found + len(text)


@pytest.fixture
def site(tmp_path):
    home = tmp_path / "var"
    home.mkdir()
    with Site(home) as site:
        yield site


def commands():
    """Return the commands of the second and later steps, without their comments."""
    page = (ROOT / "README.md").read_text()
    steps = page[page.index("### 2. ") : page.index("## Install it")]
    blocks = re.findall(r"```sh\n(.*?)```", steps, re.DOTALL)
    return [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]


def test_readme_commands_succeed_in_a_shell(site, tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PS1": PROMPT,
        "TERM": "dumb",
        "XDG_RUNTIME_DIR": RuntimeFolder().path,
    }
    shell = Shell(environ, tmp_path)

    shown = {}
    for command in commands():
        typed = command.replace("http://127.0.0.1:3000", site.url)
        if "TOKEN" in typed:
            typed = typed.replace("TOKEN", site.token())
        words = command.removeprefix("vaultr ")
        answers = next((ANSWERS[key] for key in ANSWERS if words.startswith(key)), ())
        shown[words] = shell.run(typed, answers)
        assert shell.run("echo code=$?").splitlines()[-1] == "code=0", shown[words]
    shell.exit()

    assert "Secret key: " in shown["signup --email ann@example.org"]
    assert site.token() in shown["cat var/mail/*.eml"]
    assert SECRET in shown["show Mail --field password"]
    assert "ann\n" in shown["read vaultr://Personal/Mail/username"]
    assert "The key has 7 characters." in "".join(shown.values())
