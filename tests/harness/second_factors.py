"""A minimal authenticator app."""

import base64
import time
from urllib.parse import parse_qs, urlsplit

from vaultr.protocol import totp

TOTP, CONFIRM = "/api/v1/auth/totp", "/api/v1/auth/totp/confirm"


class Phone:
    """An authenticator app with a secret and a clock."""

    def __init__(self, uri):
        text = parse_qs(urlsplit(uri).query)["secret"][0]
        self.secret = base64.b32decode(text + "=" * (-len(text) % 8))

    def step(self):
        return totp.step_of(time.time())

    def code(self, apart=0):
        """Return the code of ``steps`` steps from now."""
        return totp.code(self.secret, self.step() + apart)

    def next_code(self):
        """Return the code of the next step, which the server accepts and has not seen yet."""
        return self.code(1)

    def wrong(self):
        """Return a code that is not valid at any near step."""
        near = {self.code(apart) for apart in range(-3, 4)}
        return next(one for one in (f"{n:06d}" for n in range(9)) if one not in near)


def confirmed(client):
    """Set up the factor of an account; return its app and the recovery codes.

    The previous code confirms it, so that the test can use the current and the next one. If the
    previous code has become too old, another one confirms it.
    """
    phone = Phone(client.post(TOTP).json["uri"])
    done, sent_in = None, None
    while done is None or (done.status_code != 200 and sent_in != phone.step()):
        sent_in, phone.confirmed_by = phone.step(), phone.code(-1)
        done = client.post(CONFIRM, json={"code": phone.confirmed_by})
    return phone, done.json["recovery_codes"]
