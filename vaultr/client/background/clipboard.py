"""Puts one secret on the clipboard, and takes it away again if it is still there.

Taking away is done by a process of its own, ``python -P -m vaultr.client.background.clipboard``: it
is handed a salted hash of what was copied, and so holds no secret while it waits.
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

# A program of the desktop that takes longer than this hangs.
_ANSWER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_SALT_BYTES: Final = 16


class NoClipboard(VaultrError):
    """There is no clipboard here, or it does not work."""

    exit_code = 1
    advice = "Through the terminal, also over ssh: vaultr copy --osc52"


@dataclass(frozen=True, slots=True)
class Clipboard:
    """The programs that reach one clipboard.

    :ivar write: takes standard input. ``clear``: None where an empty text is written instead.
    """

    write: tuple[str, ...]
    read: tuple[str, ...]
    clear: tuple[str, ...] | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str], platform: str = sys.platform) -> "Clipboard":
        """Find the clipboard of this session.

        :raises NoClipboard: there is none; says which programs were looked for.
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
            f"The clipboard of this desktop needs {wanted}, which is not installed."
            if known
            else "There is no desktop here, and so no clipboard."
        )

    def put(self, text: str) -> None:
        """Put a text there.

        :raises NoClipboard: the program failed; nothing is known of the clipboard then.
        """
        self._run(self.write, text.encode())

    def holds(self, digest: bytes, salt: bytes) -> bool:
        """Tell whether what is there has this hash; False when nobody can say."""
        try:
            data = self._run(self.read, None)
        except NoClipboard:
            return False
        return hmac.compare_digest(digest, hash_of(data, salt))

    def empty(self) -> None:
        """Take away what is there."""
        self._run(self.clear or self.write, b"")

    def _run(self, words: tuple[str, ...], data: bytes | None) -> bytes:
        # What serves a clipboard goes on in the background: it must not hold our pipes open.
        reading = data is None
        try:
            done = subprocess.run(
                words,
                input=b"" if data is None else data,
                stdout=subprocess.PIPE if reading else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_ANSWER_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            # Not its words: they could hold what it was given.
            raise NoClipboard(f"{words[0]} failed: {type(error).__name__}.") from None
        return done.stdout or b""


def hash_of(data: bytes, salt: bytes) -> bytes:
    """Hash what is on a clipboard; one newline at the end, which some programs add, is dropped."""
    return hmac.digest(salt, data.removesuffix(b"\n"), hashlib.sha256)


def copy(clipboard: Clipboard, text: str, *, seconds: float) -> None:
    """Put a text on the clipboard, and have it taken away after so many seconds.

    :raises NoClipboard: it could not be put there.
    """
    began = _now()
    salt = secrets.token_bytes(_SALT_BYTES)
    handed = {
        "write": clipboard.write,
        "read": clipboard.read,
        "clear": clipboard.clear,
        "salt": salt.hex(),
        "digest": hash_of(text.encode(), salt).hex(),
        "seconds": seconds,
    }
    # Begun first: a clipboard that nobody would clear is not filled.
    if not detached_process.started("vaultr.client.background.clipboard", handed):
        raise NoClipboard("Nothing was copied: there would be nobody to clear the clipboard.")
    clipboard.put(text)
    if _now() - began >= seconds:  # put so slowly that whoever was to clear it may have looked
        _clear(clipboard, handed)


def _clear(clipboard: Clipboard, handed: Mapping[str, Any]) -> None:
    """Take away what was copied, if it is still there."""
    if clipboard.holds(bytes.fromhex(handed["digest"]), bytes.fromhex(handed["salt"])):
        with contextlib.suppress(NoClipboard):
            clipboard.empty()


def main() -> None:
    """Wait as long as told, or until told to end, and clear what is still ours."""
    handed = json.loads(sys.stdin.buffer.read())
    # The starter waits for this process alone: its child belongs to nobody, and leaves no zombie.
    if os.fork():
        os._exit(0)
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    until = _now() + handed["seconds"]
    while not ended and _now() < until:
        time.sleep(max(0.0, min(_LOOK_SECONDS, until - _now())))
    clear = handed["clear"] and tuple(handed["clear"])
    _clear(Clipboard(tuple(handed["write"]), tuple(handed["read"]), clear), handed)


def _now() -> float:
    # Time asleep counts: a laptop that wakes up has had the secret long enough.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


if __name__ == "__main__":
    main()
