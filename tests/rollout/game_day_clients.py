"""Clients of a game day: owners who write and read continuously with the SDK."""

import collections
import contextlib
import re
import secrets
import threading
import time

from tests.harness.client.devices import Device
from tests.harness.client.mailbox import link
from tests.harness.timing import until
from vaultr.client import errors
from vaultr.client.vaultr_client import Vaultr

VAULT = "Personal"
PAUSE_SECONDS = 0.4
# Time that a busy machine may need.
PATIENCE_SECONDS = 300
# Number of writes after which it reads one of its items.
READ_EVERY = 4


class Client:
    """An account with a device, on which a program writes items and reads them back.

    :ivar stored: the password of each item that the server acknowledged.
    :ivar alarm: why the client stopped: the server's state failed verification.
    """

    def __init__(self, folder, url, ca_file, number):
        self.name = f"client-{number}"
        folder.mkdir()
        self._folder, self._url, self._ca_file = folder, url, ca_file
        self.device = self.another_device("device").with_agent()
        self.stored, self.failures = {}, collections.Counter()
        self.logins, self.alarm = 0, None
        self._done, self._go = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def another_device(self, name):
        device = Device(self._folder / name, self._url, email=f"{self.name}@example.org")
        device.forks = False  # other threads of this process work at the same time
        device.environ["VAULTR_CA_FILE"] = str(self._ca_file)
        return device

    def sign_up(self, inbox):
        """Create the account, and log in on its device."""
        self.made = self.device.run_json("signup", "--email", self.device.email)
        self.device.done("verify", token(inbox, self.device.email), password=None)
        self.device.done("login")
        self.device.done("unlock")

    def start(self):
        self._go.set()
        self._thread.start()

    def stop(self):
        self._done.set()
        self._go.set()
        if self._thread.is_alive():
            self._thread.join()
        self.device.types("lock", password=None)

    @contextlib.contextmanager
    def paused(self):
        """Pause the program, so that its owner can use the device."""
        self._go.clear()
        until(self._idle.is_set, within=PATIENCE_SECONDS)
        yield self.device
        self.alarm = None
        self._go.set()

    def wait_for_more(self, number=3):
        """Wait until the server has acknowledged this many more writes."""
        wanted = len(self.stored) + number
        until(lambda: len(self.stored) >= wanted, within=PATIENCE_SECONDS)

    def lost(self):
        """List the items that a new device does not get from the server."""
        device = self.another_device(f"check-{secrets.token_hex(4)}")
        device.done("login", "--email", device.email, secret_key=self.made["secret_key"])
        with Vaultr(home=device.home / "vaultr", ca_file=self._ca_file, agent=False) as vaultr:
            vaultr.unlock(device.password)
            vaultr.sync()
            found = {one.title: one.detail["password"] for one in vaultr.each_revealed()}
        return [title for title, password in self.stored.items() if found.get(title) != password]

    def _work(self):
        while not self._done.is_set():
            self._idle.set()
            self._go.wait()
            if self._done.is_set():
                return
            self._idle.clear()
            home = self.device.home / "vaultr"
            try:
                with Vaultr(home=home, ca_file=self._ca_file, agent=False) as vaultr:
                    self._write_until_paused(vaultr)
            except errors.IntegrityError as error:
                self._stop_for(error)
            except errors.VaultrError as error:
                self.failures[type(error).__name__] += 1

    def _write_until_paused(self, vaultr):
        vaultr.unlock(self.device.password)
        while self._go.is_set() and not self._done.is_set() and self.alarm is None:
            try:
                self._write_and_read(vaultr)
            except errors.IntegrityError as error:
                self._stop_for(error)
            except (errors.SessionEnded, errors.Unauthenticated):
                self._log_in_again(vaultr)
            except errors.VaultrError as error:
                self.failures[type(error).__name__] += 1
            time.sleep(PAUSE_SECONDS)

    def _stop_for(self, error):
        self.alarm = str(error)
        self._go.clear()

    def _write_and_read(self, vaultr):
        title, password = f"Item {secrets.token_hex(8)}", secrets.token_urlsafe(16)
        vaultr.add("login", {"title": title}, {"password": password})
        self.stored[title] = password
        if len(self.stored) % READ_EVERY == 0:
            chosen = secrets.choice(list(self.stored))
            assert vaultr.read(f"vaultr://{VAULT}/{chosen}/password") == self.stored[chosen]

    def _log_in_again(self, vaultr):
        with contextlib.suppress(errors.VaultrError):
            vaultr.login(self.device.email, self.device.password)
            self.logins += 1


def token(inbox, address):
    """Return the token of the confirmation email for an address."""

    def found():
        for message in list(inbox.messages):
            if address in str(message["To"]):
                text = message.get_body(("plain",)).get_content().replace("\r", "")
                if match := re.search(link("/verify-email"), text, re.MULTILINE):
                    return match[1]
        return None

    return until(found, within=PATIENCE_SECONDS)
