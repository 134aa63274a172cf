"""Run the `vaultr` command in this process against a server that sends false responses."""

import contextlib
import copy
import io
import json
import os
import shutil
import sys
from dataclasses import dataclass
from unittest.mock import patch

from tests.harness.client.devices import PASSWORD, pipe
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.server_attacks import answering
from tests.harness.client.world import EMAIL, mail
from tests.harness.client.wsgi_server import WsgiServer
from vaultr import Vaultr
from vaultr.client.cli import main
from vaultr.protocol.encoding import b64


@dataclass
class CommandResult:
    """How a command ended, and its output."""

    code: int
    out: str
    err: str


class Proxy:
    """An owner with two devices, and a server behind a real socket whose responses can be changed.

    ``server.tamper`` changes responses; ``save()`` and ``restore()`` reset the state of server and
    devices between tests.
    """

    kept_environ = ()

    def __init__(self, folder):
        self.folder = folder / "devices"
        self.server = FakeServer()
        self._listening = WsgiServer(lambda environ, start: self.server.wsgi(environ, start))
        self.url = self._listening.url
        with self.sdk() as owner:
            self.secret_key = owner.signup(EMAIL, PASSWORD).secret_key
            owner.verify("token0")
        with self.sdk() as owner:
            owner.login(EMAIL, PASSWORD)
            owner.add("login", *mail("Mail", "first Mail"))
            owner.add("login", *mail("Bank", "first Bank"))
        with self.sdk("phone") as phone:
            phone.login(EMAIL, PASSWORD, secret_key=self.secret_key)
            phone.sync()
        self.saved = folder / "saved"
        self.save()

    def close(self):
        self._listening.close()

    def save(self):
        shutil.copytree(self.folder, self.saved)
        self._server_then = copy.deepcopy(self.server)

    def restore(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.saved, self.folder)
        self.server = copy.deepcopy(self._server_then)

    def sdk(self, name="laptop"):
        return Vaultr(self.url, home=self.folder / name, agent=False)

    def opened(self, name="laptop", password=PASSWORD):
        """Open a device with the SDK."""
        device = self.sdk(name)
        device.unlock(password)
        return device

    def types(self, *words, on="laptop", password=PASSWORD, also=(), stdin="", url=None, env=()):
        """Type one command; ``also`` are more secrets, each with the option for its descriptor."""
        environ = {
            "HOME": str(self.folder),
            "VAULTR_DIR": str(self.folder / on),
            "VAULTR_URL": url or self.url,
            "VAULTR_AGENT": "off",
        } | {name: os.environ[name] for name in self.kept_environ}
        secrets = {"--password-fd": password, **dict(also)}
        return typed(words, environ | dict(env), secrets, stdin)

    def vault(self):
        """Return the only vault as the server stores it."""
        (vault,) = self.server.vaults.values()
        return vault

    def change(self, method, ending, attack):
        """Make ``attack(body)`` change the body of each successful response to a route."""
        answering(self, method, ending, attack)

    def reject(self, method, ending, *, when=lambda: True):
        """Reject each request to a route with 422, without processing it."""
        server, then = self.server, []

        def before(requested, path):
            if requested == method and path.endswith(ending) and when():
                then.append(copy.deepcopy((server.vaults, server.account)))

        def tamper(requested, path, status, body):
            if not then:
                return status, body
            server.vaults, server.account = then.pop()
            return 422, {"type": "urn:vaultr:problem:unprocessable", "status": 422}

        server.before, server.tamper = before, tamper

    def be_honest(self):
        self.server.before = self.server.tamper = None


def typed(words, environ, secrets, stdin=""):
    """Run `vaultr` in this process; ``secrets`` are by the option for their descriptor.

    Variables of ``environ`` that are None are unset.
    """
    words = list(words)
    descriptors = {option: pipe(secret) for option, secret in secrets.items() if secret}
    cut = words.index("--") if "--" in words else len(words)
    for option, descriptor in descriptors.items():
        words[cut:cut] = [option, str(descriptor)]
    environ = {"PATH": os.environ["PATH"], **environ}
    environ = {name: value for name, value in environ.items() if value is not None}
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        patch.dict(os.environ, environ, clear=True),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _ended(words)
    return CommandResult(code, *(each.buffer.getvalue().decode() for each in (out, err)))


def _ended(words):
    try:
        return main(words)
    except SystemExit as end:
        return end.code or 0


def secrets_of(device):
    """Return the password of every active item, by title."""
    return {each.title: device.item(str(each.id)).detail["password"] for each in device.items()}


ITEM = json.dumps({"overview": {"title": "New"}, "detail": {"password": "new"}})


def forge_last_entry(proxy, item, *, generation=1):
    """Append an unsigned entry that assigns the altered content to the item."""
    vault = proxy.vault()
    last = copy.deepcopy(vault["entries"][-1])
    sent = {"n": last["n"] + 1, "prev": last["head"], "vouch": last["vouch"], "mac": b64(bytes(32))}
    request = {
        "type": item["type"],
        "generation": generation,
        "content_revision": sent["n"],
        "overview": item["overview"],
        "detail": item["detail"],
        "entry": sent,
    }
    proxy.server.store_put(vault, item["id"], request)
