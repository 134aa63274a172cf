"""Probes. Import from here, not from the modules behind it."""

from vaultr.health.client_address import (
    REQUEST_HEADER,  # asks which client address the server sees
    RESPONSE_HEADER,  # the address, if the request proved the server's keys
    new_token,  # the proof, valid for a few minutes
)
from vaultr.health.draining import start as start_draining  # readiness fails from now on
from vaultr.health.draining import started as is_draining  # whether the server is about to stop
from vaultr.health.heartbeat import DEAD_SECONDS  # age at which a heartbeat means a dead process
from vaultr.health.heartbeat import age_seconds as heartbeat_age_seconds  # age of the worker's file
from vaultr.health.heartbeat import remove as remove_heartbeat  # called when the worker ends
from vaultr.health.heartbeat import touch as touch_heartbeat  # called while the worker runs
from vaultr.health.readiness import init_app  # prepare the cache of readiness results

__all__ = [
    "DEAD_SECONDS",
    "REQUEST_HEADER",
    "RESPONSE_HEADER",
    "heartbeat_age_seconds",
    "init_app",
    "is_draining",
    "new_token",
    "remove_heartbeat",
    "start_draining",
    "touch_heartbeat",
]
