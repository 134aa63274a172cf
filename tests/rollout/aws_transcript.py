"""Write docs/aws-transcript.md: python -m tests.rollout.aws_transcript

It runs the scripts of deploy/aws against an empty account, simulated by moto: stacks, a release,
one that fails and is rolled back, a restore, and a prune. It needs `make tools`, and changes
nothing except a temporary folder and the page.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.rollout import aws, tools

PAGE = tools.ROOT / "docs" / "aws-transcript.md"
HEAD = """# Transcript: a whole installation on AWS

`python -m tests.rollout.aws_transcript` has written this page (after `make tools`). It runs the
scripts of [deploy/aws](../deploy/aws) against [moto](https://docs.getmoto.org), which plays an
empty account. moto starts no real containers: a migration ends immediately, and an image whose tag
begins with `bad` plays a version whose tasks do not start. Times and addresses differ each time.
[aws.md](aws.md) describes the commands.
"""
# Lines of a stack that are shown; others are only counted.
SHOWN = 2
# Existing snapshots when the prune begins: of this month, and older ones.
OLD = {
    "daily-2026-01-10": "2026-01-10T02:00:00+00:00",
    "daily-2026-01-20": "2026-01-20T02:00:00+00:00",
    "before-the-move": "2026-02-03T10:00:00+00:00",
}


class Transcript:
    """The parts of the page that are already written."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.parts = [HEAD]

    def say(self, heading, text):
        self.parts.append(f"\n## {heading}\n\n{text}\n")

    def run(self, script, *arguments):
        """Run a script, and add its command, output and exit code."""
        paths = [*map(self._path, arguments)]
        done = subprocess.run(
            [aws.PYTHON, "-u", aws.FOLDER / script, *paths],
            env=self.cloud.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        output = _shortened(done.stdout)
        command = f"$ deploy/aws/{script} {' '.join(arguments)}"
        self.parts.append(f"\n```\n{command}\n{output}exit {done.returncode}\n```\n")
        return done

    def _path(self, argument):
        if argument == "production":
            return str(self.cloud.parameter_folder)
        if argument.startswith("release-"):
            return str(self.cloud.folder / argument)
        return argument

    def text(self):
        found = "".join(self.parts).replace(f"{self.cloud.folder}/", "")
        return found.replace(self.cloud.parameter_folder.name, "production")


def _shortened(text):
    """Return the output with the first lines of each stack, and the number of the others."""
    found, counts = [], {}
    for line in text.splitlines():
        stack = re.match(r"(vaultr-prod-\w+): add ", line)
        if not stack:
            found.append(line)
            continue
        counts[stack[1]] = counts.get(stack[1], 0) + 1
        if counts[stack[1]] <= SHOWN:
            found.append(line)
    for name, count in counts.items():
        last = max(number for number, line in enumerate(found) if line.startswith(f"{name}: add "))
        found.insert(last + 1, f"… and {count - SHOWN} more resources of {name}")
    return "".join(f"{line}\n" for line in found)


def normalized(text):
    """Return a transcript without values that differ in each run."""
    text = re.sub(r"(vaultr-prod(?:-restore)?)-\d{8}-\d{6}", r"\1-TIME", text)
    return re.sub(r"[\w-]+\.[\w-]+\.eu-central-1\.rds\.amazonaws\.com", "ADDRESS", text)


def written(folder):
    """Return the whole transcript."""
    with aws.Cloud(folder) as cloud:
        cloud.prepare()
        page = Transcript(cloud)
        _install(page)
        _release(page)
        _recover(page)
        return page.text()


def _install(page):
    page.say("An empty account", "`production` has the parameter files of this installation.")
    page.run("stacks", "status", "--parameters", "production")
    page.run("stacks", "plan", "--parameters", "production")
    page.say(
        "The stacks", "The first run stops where the image is needed. Then an image is pushed, and"
        " the same command continues."
    )  # fmt: skip
    page.run("stacks", "apply", "--parameters", "production")
    page.cloud.push("0.1.0", "0.2.0", "bad1")
    page.run("stacks", "apply", "--parameters", "production")
    page.run("stacks", "status", "--parameters", "production")
    page.cloud.configure()


def _release(page):
    page.say("A release", "The snapshot comes first; its id is in `release-0.2.0`.")
    page.run("release", "ecs", "--tag", "0.2.0", "--record", "release-0.2.0", "--dry-run")
    page.run("release", "ecs", "--tag", "0.2.0", "--record", "release-0.2.0")
    page.say("A bad release", "Its tasks do not start. ECS rolls back, and so does the command.")
    page.run("release", "ecs", "--tag", "bad1", "--record", "release-bad1")
    page.run("stacks", "status", "--parameters", "production")
    page.say("A rollback", "The version from before the first release, by its record.")
    page.run("release", "rollback", "--record", "release-0.2.0")
    page.run("stacks", "status", "--parameters", "production")


def _recover(page):
    instance = ("--instance", aws.NAME)
    page.say(
        "A restore", "The newest snapshot becomes a second instance, and the secrets name it. A"
        " release must then name it, too."
    )  # fmt: skip
    page.run("snapshots", "latest", *instance)
    page.run("snapshots", "restore", *instance, "--dry-run")
    page.run("snapshots", "restore", *instance)
    page.run("release", "ecs", "--tag", "0.2.0", "--record", "release-again", "--dry-run")
    page.say("A prune", "It keeps 30 days and one snapshot of each of the last 12 months.")
    for name, created in OLD.items():
        page.cloud.snapshot(name, created)
    page.run("snapshots", "prune", *instance, "--keep-days", "30", "--keep-monthly", "12")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(written(Path(folder)), "utf-8")
    sys.stderr.write(f"Written: {PAGE}\n")
