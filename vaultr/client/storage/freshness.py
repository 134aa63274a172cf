"""How old the copy on this device is: when the server last answered that it is what there is."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Final

from vaultr.client.errors import VaultrError
from vaultr.client.storage.private_folder import FileAltered, Folder, FolderUnusable

_FILE: Final = "synced.json"
# A note is not written anew before this; so an age is at most this much too old, never too young.
NOTES_APART: Final = timedelta(seconds=20)


class TooOld(VaultrError):
    """The copy on this device is older than was allowed."""

    exit_code = 1
    advice = "Bring it up to date: vaultr sync. Or allow more by --max-age."


def note(folder: Folder) -> None:
    """Note that all vaults were brought up to date just now."""
    last = None
    with contextlib.suppress(FileAltered):  # what it was before does not matter any more
        last = noted(folder)
    now = datetime.now(UTC)
    if last is None or not timedelta(0) <= now - last < NOTES_APART:
        text = json.dumps({"at": now.isoformat(timespec="seconds")})
        with contextlib.suppress(FolderUnusable):  # a full disk; then the copy seems older
            folder.write_signed(_FILE, text.encode())


def noted(folder: Folder) -> datetime | None:
    """Tell when the last sync of all vaults ended; None before the first, or if it cannot be told.

    :raises FileAltered: the note is torn or altered.
    """
    value = folder.read_json(_FILE)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value["at"])
        moment.utcoffset()
    except (KeyError, TypeError, ValueError, AttributeError):
        raise folder.altered(_FILE) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def age(folder: Folder) -> timedelta | None:
    """Tell how old the copy is; None when there is none, or the clock was put back meanwhile."""
    last = noted(folder)
    passed = None if last is None else datetime.now(UTC) - last
    return passed if passed is not None and passed >= timedelta(0) else None


def said(passed: timedelta) -> str:
    """Write an age for people, in its largest whole unit."""
    seconds = int(passed.total_seconds())
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {name}{'' if number == 1 else 's'}"
    return "less than a minute"
