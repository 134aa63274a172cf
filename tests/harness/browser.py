"""A real headless Chromium, driven over the DevTools protocol.

``with started() as chrome: page = chrome.page(); page.goto(url); page.evaluate("document.title")``

Every host name resolves to this machine. Two pipes connect to the browser, so no port is open, and
only the standard library is needed.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives import serialization

from tests.harness import chromium

PATIENCE_SECONDS = 30
FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * 127.0.0.1", "--remote-debugging-pipe",
)  # fmt: skip


class BrowserError(Exception):
    """The browser rejected a command, or a script raised an error."""


class Browser:
    """A Chromium with its own profile."""

    def __init__(self, process: subprocess.Popen, to: int, answers: int):
        self._process, self._to, self._answers = process, to, answers
        self._read = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    def page(self) -> "Page":
        """Open a page that shares no cookies with the browser's other pages."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        return self.page_in(context)

    def page_in(self, context: str) -> "Page":
        """Open another page in a ``Page.context``; like a second tab, it shares cookies."""
        made = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"], context)
        for part in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{part}.enable")
        return page

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        """Send a command, and return its result.

        :raises BrowserError: the command failed.
        """
        self._number += 1
        requested = {"id": self._number, "method": method, "params": parameters}
        requested |= {"sessionId": session} if session else {}
        data = json.dumps(requested).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while (text := self.next())["id"] != self._number:
            pass
        if "error" in text:
            raise BrowserError(f"{method}: {text['error']['message']}")
        return text["result"]

    def next(self) -> dict:
        """Return the next message; ``id`` is None for an event, which its page records."""
        until = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._read:
            ready = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))[0]
            part = os.read(self._answers, 1 << 16) if ready else b""
            if not part:
                raise BrowserError(f"the browser is silent, or has ended ({self._process.poll()})")
            self._read += part
        first, self._read = self._read.split(b"\0", 1)
        text = {"id": None} | json.loads(first)
        if text["id"] is None and (page := self._pages.get(text.get("sessionId"))):
            page.note(text["method"], text["params"])
        return text


class Page:
    """A page: ``requests`` lists requested URLs, ``complaints`` logged errors."""

    def __init__(self, browser: Browser, session: str, context: str):
        self._browser, self._session = browser, session
        self.context = context
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False

    def call(self, method: str, **parameters) -> dict:
        return self._browser.call(method, self._session, **parameters)

    def note(self, event: str, body: dict) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(body["request"]["url"])
        elif event == "Log.entryAdded" and body["entry"]["level"] in ("warning", "error"):
            self.complaints.append(body["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(body["exceptionDetails"]["text"])

    def goto(self, url: str) -> None:
        """Open a URL, and wait until the page and its resources are loaded.

        :raises BrowserError: the URL is unreachable or not trusted.
        """
        self._loaded = False
        if failed := self.call("Page.navigate", url=url).get("errorText"):
            raise BrowserError(f"{url}: {failed}")
        self._wait()

    def leave(self, script: str) -> None:
        """Run a script that leads to another page, and wait until that is loaded."""
        self._loaded = False
        self.evaluate(script)
        self._wait()

    def click(self, selector: str) -> None:
        """Click an element that leads to another page, and wait until that is loaded."""
        self.leave(f"document.querySelector({json.dumps(selector)}).click()")

    def _wait(self) -> None:
        while not self._loaded:
            self._browser.next()

    def evaluate(self, script: str):
        """Return the value of a script in this page; wait for a promise.

        :raises BrowserError: the script raised an error, which is the message.
        """
        reported = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if thrown := reported.get("exceptionDetails"):
            raise BrowserError(thrown.get("exception", {}).get("description", thrown["text"]))
        return reported["result"].get("value")

    def cookies(self) -> dict[str, dict]:
        """Return all cookies of this page's browser by name."""
        reported = self._browser.call("Storage.getCookies", browserContextId=self.context)
        return {one["name"]: one for one in reported["cookies"]}


@contextlib.contextmanager
def started(*, authority=None, proxy=None) -> Iterator[Browser]:
    """Start a browser.

    :param authority: an authority to trust, besides the machine's.
    :param proxy: ``host:port`` of a proxy for all requests, even those to this machine.
    """
    folder = tempfile.mkdtemp(prefix="vaultr-browser-")
    (for_it, to), (answers, from_it) = _pipe(), _pipe()
    flags = [*FLAGS, f"--user-data-dir={folder}/profile"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    flags += [f"--ignore-certificate-errors-spki-list={_pin(authority)}"] if authority else []
    flags += [f"--proxy-server=http://{proxy}", "--proxy-bypass-list=<-loopback>"] if proxy else []
    # Chromium always reads from descriptor 3 and writes to 4.
    moved = f'exec "$@" 3<&{for_it} 4>&{from_it} {for_it}<&- {from_it}>&-'
    process = subprocess.Popen(
        ["bash", "-c", moved, "bash", chromium.program(), *flags],
        pass_fds=(for_it, from_it),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": folder},
        start_new_session=True,
    )
    for theirs in (for_it, from_it):
        os.close(theirs)
    browser = Browser(process, to, answers)
    try:
        yield browser
    finally:
        with contextlib.suppress(BrowserError, OSError):
            browser.call("Browser.close")
        for ours in (to, answers):
            os.close(ours)
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _pipe() -> tuple[int, int]:
    """Create a pipe whose descriptors are above those that Chromium uses."""
    ends = os.pipe()
    above = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return above


def _end(process: subprocess.Popen) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pin(authority) -> str:
    """Return an authority's public key hash as Chromium expects it (SHA-256)."""
    key = authority.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
