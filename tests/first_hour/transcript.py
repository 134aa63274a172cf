"""Write the transcript of the first hour as a documentation page."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"

OPENING = """\
# Getting started

This page shows the first hour with Vaultr: sign up, import your secrets, run a program with them,
and use a second device. `tests/first_hour` recorded it with a real server and two devices. Lines
that start with `$` were typed; the rest is output. Keys, tokens, ids and times differ each time.

Start the server in one terminal and keep it running. The command `vaultr` is in `.venv/bin`:

```console
$ make run
$ export PATH="$PWD/.venv/bin:$PATH" VAULTR_URL=http://127.0.0.1:3000   # in another terminal
```

`vaultr` asks for passwords and secret keys, and never takes them as arguments. A script passes them
by a file descriptor, such as `--password-fd 3 3< file`.
"""


class Transcript:
    """Steps in the order in which they were taken."""

    def __init__(self):
        self._parts = [OPENING]
        self._hidden = {}

    def says(self, text):
        """Begin a paragraph."""
        self._parts.append(text + "\n")

    def hides(self, value, placeholder):
        """Show a placeholder in place of a value that differs each time."""
        self._hidden[value] = placeholder

    def ran(self, words, done, *, typed=None):
        """Add a command and what it answered; ``typed`` is what a person would have typed."""
        line = typed or " ".join(["vaultr", *(_quoted(word) for word in words)])
        shown = done.stdout + done.stderr
        self._parts.append(f"```console\n$ {line}\n{shown.rstrip()}\n```\n")

    def page(self):
        """Write the page, the same whenever the same was done."""
        text = "\n".join(self._parts)
        for value, placeholder in self._hidden.items():
            text = text.replace(value, placeholder)
        ids = {}
        text = re.sub(
            r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            lambda found: ids.setdefault(found[0], f"00000000-0000-4000-8000-{len(ids) + 1:012d}"),
            text,
        )
        text = re.sub(r"(?<=copy on this device, ).*(?= old)", "less than a minute", text)
        text = re.sub(r"(?<=--undo )[0-9a-f]{12}", "3f2a9c01b4d7", text)
        # A short head, in a table of its own width.
        return re.sub(r"(?<=  )[0-9a-f]{12}(?=  )", "343e092be972", text)


def _quoted(word):
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"
