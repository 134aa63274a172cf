"""The page of a game day: events, alerts, commands and their output."""

import re

from tests.rollout import tools

PAGE = tools.ROOT / "docs" / "game-day.md"
RUNBOOK = tools.ROOT / "docs" / "runbook.md"
HEAD = """# Game day

`python -m tests.rollout.game_day` has written this page (after `make tools`; as root, so that a
small disk can be mounted). It took 15 minutes on two cores that were busy with other work. Seven
disasters happen one after the other to a running system under load:

- the edge, the server with two processes, the worker and the sequencer of
  [docker-compose.yml](../docker-compose.yml), started as processes with exactly its settings;
- PostgreSQL with the roles of [roles.sql](../deploy/postgres/roles.sql), Redis, a mail server with
  STARTTLS, and a bucket (`rclone serve s3`) that stands for another region;
- three owners, each with a device, whose program writes items and reads them back all the time;
- a Prometheus that scrapes server, worker and sequencer, and loads
  [rules.yaml](../helm/vaultr/files/rules.yaml). Waiting times, windows and ages in the rules are
  divided by {factor}, so read a second as a minute. Nothing else is changed in them.

After each disaster the script waits for the alert and does what [the runbook](runbook.md) says.
Then it checks that every write that the server had acknowledged can be read again. If anything
differs, the script fails and writes no page. Names of databases and backups, times and numbers
differ each time.
"""
# Lines of a long output that are shown.
MOST_LINES = 11


class Page:
    """The parts of the page that are already written.

    :param names: the text to show for each address.
    """

    def __init__(self, names, factor):
        self._names = names
        self._parts = [HEAD.format(factor=factor)]
        self._hidden = {}

    def heading(self, text):
        self._parts.append(f"## {text}")

    def say(self, text):
        self._parts.append(text)

    def hide(self, value, shown):
        """Replace a value on the page, such as the path of a temporary folder."""
        self._hidden[str(value)] = shown

    def alerts(self, expected, fired):
        """Add the alerts that were waited for, and the names of others."""
        rows = [
            f"| [{name}](runbook.md#{name.lower()}) | {fired[name]:.0f} s |" for name in expected
        ]
        self._parts.append("\n".join(["| alert | fired after |", "| --- | --- |", *rows]))
        if others := sorted(set(fired) - set(expected)):
            self._parts.append(f"Also: {', '.join(others)}.")

    def runbook(self, heading):
        """Quote a section of the runbook."""
        section = RUNBOOK.read_text("utf-8").split(f"\n## {heading}\n", 1)[1]
        section = re.split(r"\n##? ", section)[0].strip()
        anchor = heading.lower().replace(" ", "-")
        section = section.replace("](#", "](runbook.md#")  # the section links to its own page
        quoted = "\n".join(f"> {line}".rstrip() for line in section.splitlines())
        self._parts.append(
            f"[The runbook](runbook.md#{anchor}) says under “{heading}”:\n\n{quoted}"
        )

    def typed(self, command, output, code):
        """Add a command, its output, and its exit code if that is not 0."""
        lines = output.rstrip().splitlines()
        if len(lines) > MOST_LINES:
            lines[MOST_LINES - 3 : -3] = [f"… {len(lines) - MOST_LINES + 1} more lines"]
        if code:
            lines.append(f"exit {code}")
        shown = "\n".join([f"$ {command}", *lines])
        self._parts.append(f"```console\n{shown}\n```")

    def text(self):
        found = "\n\n".join(self._parts) + "\n"
        for value, shown in {**self._names, **self._hidden}.items():
            found = found.replace(value, shown)
        return re.sub(r"[ \t]+$", "", found, flags=re.M)


def _after(seconds):
    return "it still fires" if seconds is None else f"{seconds:.0f} s"
