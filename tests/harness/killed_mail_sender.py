"""A mail sender that is killed at every n-th line of our code and of smtplib.

``python -m tests.harness.killed_mail_sender STEP`` builds the server from the environment. For each
point it puts an email into the outbox, starts a child that sends it and is killed there, and starts
another child an hour later. It prints the number of kills.
"""

import os
import signal
import smtplib
import sys
from datetime import timedelta
from pathlib import Path

import time_machine

import vaultr.mail
from vaultr import clock
from vaultr.app import create_app
from vaultr.database.session import db, transaction
from vaultr.mail import delivery_job, service
from vaultr.mail.message import Email
from vaultr.settings.model import Settings

OURS = str(Path(vaultr.mail.__file__).parent)
EMAIL_MESSAGE = Email("verify-email", "Confirm", "a link\n", "<p>a link</p>")


class KillAtLine:
    """Counts executed lines, and kills the process at one of them."""

    def __init__(self, last):
        self.left = last

    def __call__(self, frame, event, _argument):
        name = frame.f_code.co_filename
        if not name.startswith(OURS) and name != smtplib.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def child(do):
    """Run a function in a separate process; return whether it finished."""
    if (process := os.fork()) == 0:
        try:
            do()
        finally:
            os._exit(0)
    return os.waitpid(process, 0)[1] == 0


def main():
    app = create_app(Settings.from_environ(os.environ))
    with app.app_context():
        last, finished = 1, False
        while not finished:
            with transaction():
                service.send(EMAIL_MESSAGE, f"{last}@example.org")
            db.session.remove()
            db.engine.dispose()
            finished = child(lambda last=last: (sys.settrace(KillAtLine(last)), delivery_job.run()))
            with time_machine.travel(clock.now() + timedelta(hours=1)):
                assert child(delivery_job.run)
            last += int(sys.argv[1])
        print((last - 1) // int(sys.argv[1]) - 1)  # noqa: T201 - the parent process reads it


if __name__ == "__main__":
    main()
