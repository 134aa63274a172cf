"""Record a terminal session with `vaultr`."""

import re
from pathlib import Path

from tests.client.terminal import Terminal

PAGE = Path(__file__).parents[2] / "docs" / "terminal-session.md"
COLUMNS = 92
STYLES = re.compile(r"\x1b\[[0-9;]*m")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

OPENING = """\
# A session on a terminal

`tests/client/test_terminal_session.py` recorded this session on a real terminal with a real server.
Lines that start with `$` were typed; the rest is output. Keys, tokens, codes and ids differ each
time. Secrets typed at a prompt are never shown.
"""


class Recording:
    """One device and all that was shown on its terminal."""

    def __init__(self, device):
        self.device = device
        self.parts = [OPENING]
        self._placeholders = {}

    def says(self, text):
        """Begin a paragraph."""
        self.parts.append(text + "\n")

    def hides(self, value, placeholder):
        """Show a placeholder for a value that differs each time."""
        self._placeholders[value] = placeholder

    def types(self, *words, answers=(), code=0, line=None):
        """Type a command and answer its questions; return what was shown."""
        environ = {**self.device.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        terminal = Terminal(*words, environ=environ)
        for question, answer in answers:
            terminal.answers(question, answer)
        assert terminal.ends() == code, terminal.shown
        shown = STYLES.sub("", terminal.shown).replace("\r\n", "\n")
        typed = line or " ".join(["vaultr", *map(_quoted, words)])
        self.parts.append(f"```console\n$ {typed}\n{shown.rstrip()}\n```\n")
        return terminal.shown

    def page(self):
        """Return the page: the same whenever the same was typed and shown."""
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


# Times, and what depends on the machine.
_DIFFERING = (
    (re.compile(r"responds in \d+ ms"), "responds in 4 ms"),
    (re.compile(r"Valid for \d+ more seconds?"), "Valid for 17 more seconds"),
    (re.compile(r"differ by \d+ s"), "differ by 0 s"),
    (re.compile(r"(?<=1 item, ).*(?= old)"), "less than a minute"),
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
