"""A process that holds the lock of a job: it prints ``held``, and ``done`` once it may continue."""

import os
import sys
import time

from vaultr.app import create_app
from vaultr.ops import job_locks
from vaultr.settings.model import Settings


def main(idle_seconds, hold_seconds):
    job_locks.IDLE_SECONDS = idle_seconds
    app = create_app(Settings.from_environ(os.environ))
    with app.app_context(), job_locks.job_lock("test") as ours:
        sys.stdout.write("held\n" if ours else "not held\n")
        sys.stdout.flush()
        time.sleep(hold_seconds)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
