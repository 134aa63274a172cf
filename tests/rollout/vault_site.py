"""A server and an owner, with the items that the examples in deploy/ use."""

import contextlib
import json

from tests.harness.client.local_server import Site
from tests.harness.client.owners import owner


@contextlib.contextmanager
def serving(home, folder, email):
    """Yield the server and the owner's unlocked device; ``prod`` has ``db`` and ``web``."""
    with Site(home) as site:
        device = owner(site, folder, email).with_agent()
        device.done("unlock")
        device.done("vaults", "add", "prod")
        for kind, title, detail in (
            ("login", "db", {"password": "hunter2"}),
            ("env_set", "web", {"variables": {"PORT": "80", "KEY": "a&b"}}),
        ):
            document = json.dumps({"overview": {"title": title}, "detail": detail})
            device.done("add", kind, "--vault", "prod", "--json", stdin=document)
        yield site, device
        device.done("lock")
