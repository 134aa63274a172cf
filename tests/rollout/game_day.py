"""Write docs/game-day.md: python -m tests.rollout.game_day

It starts a whole system with clients and alerts in a temporary folder, and simulates seven
disasters. It needs `make tools`, and changes nothing except the folder and the page.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.rollout import game_day_disasters as disasters
from tests.rollout import tools
from tests.rollout.game_day_page import PAGE, Page
from tests.rollout.game_day_site import System
from tests.rollout.live_prometheus import FACTOR

DISASTERS = (
    disasters.database_lost,
    disasters.region_lost,
    disasters.wrong_restore,
    disasters.keys_lost,
    disasters.disk_full,
    disasters.redis_gone,
    disasters.mail_gone,
)


class Day:
    """A system, and the page about its disasters."""

    def __init__(self, system):
        self.system = system
        self.page = Page(system.names, FACTOR)
        self.page.hide(system.folder, "…")
        self.say = self.page.say

    def begin(self, heading, text):
        self.system.pager.begin()
        self.page.heading(heading)
        self.page.say(text)

    def flask(self, service, *words, fails=False, about=None):
        """Run a `flask` command in a container of a service, add it to the page, and return its
        output.

        :param fails: whether it must fail; None if both are allowed.
        :param about: show only lines with this word, each with the line below.
        """
        done = self.system.flask(service, *words)
        assert fails in (None, done.returncode != 0), tools.output_of(done)
        output = done.stdout + (done.stderr if done.returncode else "")
        command = f"flask {' '.join(map(_quoted, words))}"
        if about:
            command += f" | grep -A1 {about}"
            output = "\n".join(re.findall(rf"^.*{about}.*(?:\n *->.*)?$", output, re.M))
        self.page.typed(command, output, done.returncode)
        return done.stdout

    def shell(self, server, script, **more):
        """Run a shell command as an administrator of PostgreSQL."""
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=tools.ROOT, env={**self.system.administer(server), **more},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, tools.output_of(done)
        self.page.typed(script, done.stdout, 0)

    def vaultr(self, device, *words, code=0, **more):
        """Run a command on a device of a client."""
        done = device.types(*words, **more)
        assert done.returncode == code, (words, tools.output_of(done))
        self.page.typed(f"vaultr {' '.join(words)}", done.stdout + done.stderr, code)
        return done.stdout

    def alerts(self, *expected):
        """Wait until these alerts fire, and add them to the page."""
        self.system.pager.wait_for(expected)
        self.page.alerts(expected, self.system.pager.fired())

    def recovered(self, *ended):
        """Wait until the clients write again and these alerts have ended."""
        for client in self.system.clients:
            client.wait_for_more()
        self.system.pager.wait_for_end(ended)
        acknowledged = sum(len(one.stored) for one in self.system.clients)
        self.page.say(
            f"The clients write and read again, and {' and '.join(ended)} ended. So far"
            f" {acknowledged} writes were acknowledged."
        )


def _quoted(word):
    return f'"{word}"' if " " in word else word


def run(folder, *, chosen=DISASTERS, progress=lambda text: None):
    """Run a game day in a folder, and return the page."""
    began = time.monotonic()
    with System(folder) as system:
        day = Day(system)
        progress("prepare")
        disasters.prepare(day)
        for disaster in chosen:
            progress(f"{time.monotonic() - began:.0f} s {disaster.__name__}")
            disaster(day)
        progress(f"{time.monotonic() - began:.0f} s check")
        disasters.check(day)
        return day.page.text()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="vaultr-game-day-") as name:
        Path(name).chmod(0o755)
        text = run(Path(name), progress=lambda text: sys.stderr.write(f"{text}\n"))
    PAGE.write_text(text, "utf-8")
    sys.stderr.write(f"Written: {PAGE}\n")
