"""Write the transcript of the first hour as a documentation page."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"

OPENING = """\
# Getting started

In ten minutes you start a server, create an account, store a secret, give it to a program, and open
it on a second device.

`tests/first_hour` recorded this page with a real server and two devices. Lines that start with `$`
are commands; the rest is their output. Keys, tokens, ids and times differ each time.

## 1. Start a server

Run this in a checkout, in its own terminal. It needs Python 3.11 or newer, and installs
everything else into `.venv`:

```console
$ make run
```

In a second terminal, in the same folder, set the paths of the command and the server:

```console
$ export PATH="$PWD/.venv/bin:$PATH" VAULTR_URL=http://127.0.0.1:3000
```

`vaultr` asks for passwords and keys at a prompt, and never takes them as arguments.
"""

CLOSING = """\
## What next?

| you want to | read |
| --- | --- |
| see a first week, with all prompts | [a week in the terminal](terminal-session.md) |
| look up a command | [cli.md](cli.md), or `vaultr COMMAND --help` |
| import from your password manager | [migrating.md](migrating.md) |
| give secrets to CI jobs and servers | [machines.md](machines.md) |
| use Vaultr with git, Docker and SSH | [integrations.md](integrations.md) |
| know what happens if you lose a device or your password | [accounts.md](accounts.md) |
| run a server for others | [deployment.md](deployment.md) |
"""


class Transcript:
    """The steps of a page, in their order."""

    def __init__(self):
        self._parts = [OPENING]
        self._hidden = {}

    def add_section(self, heading, text):
        """Add a heading and a paragraph."""
        self.add_paragraph(f"## {heading}")
        self.add_paragraph(text)

    def add_paragraph(self, text):
        """Add a paragraph."""
        self._parts.append(text + "\n")

    def mask(self, value, placeholder):
        """Show a placeholder for a value that differs in each run."""
        self._hidden[value] = placeholder

    def add_command(self, words, done, *, typed=None):
        """Add a command and its output; ``typed`` is what a person would have typed."""
        line = typed or " ".join(["vaultr", *(_quoted(word) for word in words)])
        shown = done.stdout + done.stderr
        self._parts.append(f"```console\n$ {line}\n{shown.rstrip()}\n```\n")

    def page(self):
        """Return the page; the same actions always result in the same text."""
        text = "\n".join([*self._parts, CLOSING])
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
        # A short head, in its own table width.
        return re.sub(r"(?<=  )[0-9a-f]{12}(?=  )", "343e092be972", text)


def _quoted(word):
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"
