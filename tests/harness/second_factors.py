"""A minimal authenticator app."""

import base64
import time
from urllib.parse import parse_qs, urlsplit

from vaultr.protocol import totp

TOTP, CONFIRM = "/api/v1/auth/totp", "/api/v1/auth/totp/confirm"


class Phone:
    """An app that was shown an address, and knows what time it is."""

    def __init__(self, uri):
        text = parse_qs(urlsplit(uri).query)["secret"][0]
        self.secret = base64.b32decode(text + "=" * (-len(text) % 8))

    def step(self):
        return totp.step_of(time.time())

    def code(self, apart=0):
        """Return the code of so many steps from now."""
        return totp.code(self.secret, self.step() + apart)

    def next_code(self):
        """Return the code that comes next, which the server takes already, and has not seen."""
        return self.code(1)

    def wrong(self):
        """Return a code of no step near."""
        near = {self.code(apart) for apart in range(-3, 4)}
        return next(one for one in (f"{n:06d}" for n in range(9)) if one not in near)


def confirmed(client):
    """Set up the factor of an account; return its app, and the recovery codes.

    It is confirmed by the code before the present one, which leaves that and the next to the test;
    and by another one where that became too old on its way.
    """
    phone = Phone(client.post(TOTP).json["uri"])
    done, sent_in = None, None
    while done is None or (done.status_code != 200 and sent_in != phone.step()):
        sent_in, phone.confirmed_by = phone.step(), phone.code(-1)
        done = client.post(CONFIRM, json={"code": phone.confirmed_by})
    return phone, done.json["recovery_codes"]
