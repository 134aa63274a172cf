"""A device of a fake server behind a real socket, with a vault filled by another client."""

import json
from contextlib import contextmanager
from uuid import uuid4

from tests.harness.client.devices import PASSWORD, Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.wsgi_server import WsgiServer
from vaultr import Vaultr
from vaultr.client.log.append import Change


class UnusualItem:
    """An item as another client may write it: with any JSON, any type, or unreadable."""

    def __init__(self, kind, overview, detail, *, opens=True):
        self.id, self.kind, self.opens = uuid4(), kind, opens
        self.parts = [json.dumps(each).encode() for each in (overview, detail)]

    def changes(self, ground, n):
        if self.opens:
            return [ground.put(self.id, self.kind, n, self.parts)]
        unreadable = bytes([1]) + bytes(144)
        return [Change.put(self.id, self.kind, unreadable, unreadable)]


@contextmanager
def device_with(home, *odd):
    """Yield a device with an agent, and its server, which has the unusual items."""
    server = FakeServer()
    listening = WsgiServer(server.wsgi)
    device = Device(home, listening.url).with_agent()
    try:
        with _signed_in(device) as owner:
            (report,) = owner.sync()
            for each in odd:
                owner.device.unlocked.writer.write(report.id, [each])
        device.done("unlock")
        yield device, server
        device.done("lock", password=None)
    finally:
        listening.close()


def _signed_in(device):
    owner = Vaultr(device.environ["VAULTR_URL"], home=device.home / "vaultr", agent=False)
    owner.signup(device.email, PASSWORD)
    owner.verify("token0")
    owner.login(device.email, PASSWORD)
    return owner
