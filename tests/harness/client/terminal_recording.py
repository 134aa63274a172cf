"""Record a terminal session with `vaultr`."""

import re
from pathlib import Path

from tests.harness.client.terminal import Terminal

PAGE = Path(__file__).parents[3] / "docs" / "terminal-session.md"
COLUMNS = 96
STYLES = re.compile(r"\x1b\[[0-9;]*m")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

OPENING = """\
# A first week in the terminal

`tests/client/test_terminal_session.py` recorded this page on real terminals with a real server,
and `make test` runs every command again. Lines that start with `$` are commands; the rest is their
output. Keys, tokens, codes, ids and times differ each time. Secrets that you type at a prompt are
never shown.
"""


class Recording:
    """A device, and the commands and output of its terminal."""

    def __init__(self, device):
        self.device = device
        self.parts = [OPENING]
        self._placeholders = {}

    def add_section(self, heading, text):
        """Add a heading and a paragraph."""
        self.add_paragraph(f"## {heading}")
        self.add_paragraph(text)

    def add_paragraph(self, text):
        """Add a paragraph."""
        self.parts.append(text + "\n")

    def mask(self, value, placeholder):
        """Show a placeholder for a value that differs in each run."""
        self._placeholders[value] = placeholder

    def add_file(self, file):
        """Add the contents of a file, like `cat`."""
        self.parts.append(f"```console\n$ cat {file}\n{file.read_text().rstrip()}\n```\n")

    def types(self, *words, answers=(), code=0, line=None, device=None):
        """Type a command on a device and answer its questions; return the output."""
        environ = (device or self.device).environ
        environ = {**environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        terminal = Terminal(*words, environ=environ)
        for question, answer in answers:
            terminal.answers(question, answer)
        assert terminal.ends() == code, terminal.shown
        shown = STYLES.sub("", terminal.shown).replace("\r\n", "\n")
        shown = re.sub(r"^.*\r", "", shown, flags=re.M)  # earlier states of a progress line
        typed = line or " ".join(["vaultr", *map(_quoted, words)])
        self.parts.append(f"```console\n$ {typed}\n{shown.rstrip()}\n```\n")
        return terminal.shown

    def page(self):
        """Return the page, which is the same for the same input and output."""
        text = "\n".join(self.parts)
        for value, placeholder in self._placeholders.items():
            text = text.replace(value, placeholder)
        ids = {}
        text = UUID.sub(
            lambda found: ids.setdefault(found[0], f"00000000-0000-4000-8000-{len(ids) + 1:012d}"),
            text,
        )
        for pattern, placeholder in _DIFFERING:
            text = pattern.sub(placeholder, text)
        return text


# Times, and values that depend on the machine.
_DIFFERING = (
    (re.compile(r"responds in \d+ ms"), "responds in 4 ms"),
    (re.compile(r"Valid for \d+ more seconds?"), "Valid for 17 more seconds"),
    (re.compile(r"differ by \d+ s"), "differ by 0 s"),
    (re.compile(r"(?<=items, ).*(?= old)|(?<=on this device, ).*(?= old)"), "less than a minute"),
    (re.compile(r"(?<=last sync      ).*"), "less than a minute ago"),
    (re.compile(r"(?<=--undo )[0-9a-f]{12}"), "3f2a9c01b4d7"),
    (re.compile(r"20\d\d-\d\d-\d\d(?= \d\d:\d\d)"), "2027-01-04"),
    (re.compile(r"(?<=2027-01-04 )\d\d:\d\d"), "09:41"),
    (re.compile(r"(?<=expires on )20\d\d-\d\d-\d\d|(?<=Personal  )20\d\d-\d\d-\d\d"), "2027-04-04"),
    (re.compile(r"(?<=vaultr  )[0-9a-f]{8}$", re.M), "6c48957c"),
    (re.compile(r"for \d+ more minutes"), "for 14 more minutes"),
    (re.compile(r"Python [\d.]+\w* on \w+"), "Python 3.13.1 on Linux"),
    (re.compile(r"(?<=  )[0-9a-f]{12}(?=  )"), "343e092be972"),
    (re.compile(r"^Waiting for .* to respond\. Press Ctrl-C to stop\.\n", re.M), ""),
    (re.compile(r"^ok    clipboard: .*$", re.M), "ok    clipboard: Available through wl-copy."),
)


def _quoted(word):
    return (
        word if re.fullmatch(r"[\w@%+=:,./?-]+", word) else "'" + word.replace("'", "'\\''") + "'"
    )
