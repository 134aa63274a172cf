"""The parts of access tokens, to build valid and forged ones."""

import base64
import json
import time
from uuid import uuid4

from tests.harness.app_fixtures import KEYS
from vaultr.settings.types import Keys

CLAIMS = ("iss", "aud", "sub", "sid", "typ", "epoch", "iat", "exp", "jti")


def key_of(name):
    [key] = Keys.parse(KEYS[name]).by_id.values()
    return key


def claims(**more):
    now = int(time.time())
    return {
        "iss": "http://localhost",
        "aud": "vaultr-api",
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "typ": "access",
        "epoch": 1,
        "iat": now,
        "exp": now + 600,
        "jti": str(uuid4()),
    } | more


def part(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
