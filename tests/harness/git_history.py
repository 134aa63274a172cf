"""Run git in this clone, for tests of earlier versions."""

import subprocess

from tests.harness.gunicorn_server import ROOT

UNSHALLOW = (
    "The code before the newest migration is not in this clone, whose history is shallow. Fetch all"
    " of it (`git fetch --unshallow`; in CI a checkout with full depth) and run the test again."
)


def git(*arguments, cwd=ROOT):
    done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True)
    return done.returncode, done.stdout.strip()
