"""Copy a secret to the clipboard, and clear it later if it is still there.

Another process clears it, ``python -P -m vaultr.client.background.clipboard``. It gets a salted
hash of the copied text, so that it holds no secret while it waits.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vaultr.client.background import detached_process
from vaultr.client.errors import VaultrError

# A clipboard program that takes longer than this hangs.
_PROGRAM_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.5
_SALT_BYTES: Final = 16


class NoClipboard(VaultrError):
    """No clipboard is available, or it does not work."""

    advice = "To copy through the terminal, also over ssh: vaultr copy --osc52"


@dataclass(frozen=True, slots=True)
class Clipboard:
    """The programs that read, write and clear one clipboard.

    :ivar write: reads standard input.
    :ivar clear: None if the clipboard is cleared by writing an empty text.
    """

    write: tuple[str, ...]
    read: tuple[str, ...]
    clear: tuple[str, ...] | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str], platform: str = sys.platform) -> "Clipboard":
        """Return the clipboard of this desktop session.

        :raises NoClipboard: none is available; the message names the programs.
        """
        known = []
        if platform == "darwin":
            known.append(cls(("pbcopy",), ("pbpaste",)))
        if environ.get("WAYLAND_DISPLAY"):
            clear = ("wl-copy", "--clear")
            known.append(cls(("wl-copy", "-t", "text/plain"), ("wl-paste", "-n"), clear))
        if environ.get("DISPLAY"):
            xclip, xsel = ("xclip", "-selection", "clipboard"), ("xsel", "--clipboard")
            known.append(cls((*xclip, "-in"), (*xclip, "-out")))
            known.append(cls((*xsel, "--input"), (*xsel, "--output"), (*xsel, "--clear")))
        path = environ.get("PATH")
        for each in known:
            if all(shutil.which(words[0], path=path) for words in (each.write, each.read)):
                return each
        wanted = " or ".join(dict.fromkeys(each.write[0] for each in known))
        raise NoClipboard(
            f"To use the clipboard of this desktop, install {wanted}."
            if known
            else "No desktop session is running, so no clipboard is available."
        )

    def put(self, text: str) -> None:
        """Copy a text to the clipboard.

        :raises NoClipboard: the program failed; the content of the clipboard is unknown.
        """
        self._run(self.write, text.encode())

    def holds(self, digest: bytes, salt: bytes) -> bool:
        """Check whether the clipboard's content has this hash; False if it cannot be read."""
        try:
            data = self._run(self.read, None)
        except NoClipboard:
            return False
        return hmac.compare_digest(digest, hash_of(data, salt))

    def empty(self) -> None:
        """Clear the clipboard."""
        self._run(self.clear or self.write, b"")

    def _run(self, words: tuple[str, ...], data: bytes | None) -> bytes:
        # A program that serves the clipboard keeps running in the background: it must not keep our
        # pipes open.
        reading = data is None
        try:
            done = subprocess.run(
                words,
                input=b"" if data is None else data,
                stdout=subprocess.PIPE if reading else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROGRAM_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            # Its output is not shown, because it could contain the secret.
            raise NoClipboard(f"{words[0]} failed: {type(error).__name__}.") from None
        return done.stdout or b""


def hash_of(data: bytes, salt: bytes) -> bytes:
    """Return the hash of a clipboard's content, without a final newline that programs may add."""
    return hmac.digest(salt, data.removesuffix(b"\n"), hashlib.sha256)


def copy(clipboard: Clipboard, text: str, *, seconds: float) -> None:
    """Copy a text to the clipboard, and start the process that clears it after some seconds.

    :raises NoClipboard: the text could not be copied.
    """
    began = _now()
    salt = secrets.token_bytes(_SALT_BYTES)
    job = {
        "write": clipboard.write,
        "read": clipboard.read,
        "clear": clipboard.clear,
        "salt": salt.hex(),
        "digest": hash_of(text.encode(), salt).hex(),
        "seconds": seconds,
    }
    # Started first, so that nothing is copied without a process that clears it.
    if not detached_process.started("vaultr.client.background.clipboard", job):
        raise NoClipboard(
            "Nothing was copied, because the process that clears the clipboard did not start."
        )
    clipboard.put(text)
    if _now() - began >= seconds:  # the other process may have checked before the text was there
        _clear(clipboard, job)


def _clear(clipboard: Clipboard, job: Mapping[str, Any]) -> None:
    """Clear the clipboard if it still contains the copied text."""
    if clipboard.holds(bytes.fromhex(job["digest"]), bytes.fromhex(job["salt"])):
        with contextlib.suppress(NoClipboard):
            clipboard.empty()


def main() -> None:
    """Wait for the time on standard input, or for a signal, and clear the clipboard."""
    job = json.loads(sys.stdin.buffer.read())
    # The starter waits only for this process; init adopts the child, so it leaves no zombie.
    if os.fork():
        os._exit(0)
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(devnull, descriptor)
    until = _now() + job["seconds"]
    while not ended and _now() < until:
        time.sleep(max(0.0, min(_POLL_SECONDS, until - _now())))
    clear = job["clear"] and tuple(job["clear"])
    _clear(Clipboard(tuple(job["write"]), tuple(job["read"]), clear), job)


def _now() -> float:
    # Suspended time counts, so that a laptop clears the secret when it wakes up.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


if __name__ == "__main__":
    main()
