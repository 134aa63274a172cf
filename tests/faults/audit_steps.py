"""Steps of the audit log for processes of their own: record events, sequence them."""

import os
import time
from uuid import UUID

from vaultr.app import create_app
from vaultr.audit import sequencer, service
from vaultr.audit.events import Event
from vaultr.database.session import transaction
from vaultr.settings.model import Settings

ANN = UUID(int=1)


def app():
    """Build the app of the environment."""
    return create_app(Settings.from_environ(os.environ))


def record(count):
    """Record events, each in a transaction of its own."""
    with app().app_context():
        for _ in range(count):
            with transaction():
                service.record(Event.ITEM_WRITE, account_id=ANN)


def sequence(*, rounds=60, finish=True):
    """Run the job until nothing waits and the last checkpoint is published."""
    with app().app_context():
        idle = 0
        for _ in range(rounds):
            more = sequencer.sequence()
            idle = 0 if more else idle + 1
            if finish and idle > 2:
                return
            time.sleep(0 if more else 0.6)
