"""The age of this device's copy: the time since all vaults were last brought up to date."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Final

from vaultr.client.errors import VaultrError
from vaultr.client.storage.private_folder import FileAltered, Folder, FolderUnusable

_FILE: Final = "synced.json"
# The note is not rewritten sooner, so an age may be too high by this much, but never too low.
NOTES_APART: Final = timedelta(seconds=20)


class TooOld(VaultrError):
    """This device's copy is older than allowed."""

    advice = "Bring it up to date: vaultr sync. Or allow an older copy with --max-age."


def note(folder: Folder) -> None:
    """Record that all vaults are now up to date."""
    last = None
    with contextlib.suppress(FileAltered):  # replace the damaged note
        last = noted(folder)
    now = datetime.now(UTC)
    if last is None or not timedelta(0) <= now - last < NOTES_APART:
        text = json.dumps({"at": now.isoformat(timespec="seconds")})
        with contextlib.suppress(FolderUnusable):  # on a full disk the copy just seems older
            folder.write_signed(_FILE, text.encode())


def noted(folder: Folder) -> datetime | None:
    """Return when the last sync of all vaults ended; None before the first.

    :raises FileAltered: the note is damaged or was altered.
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
    """Return the age of the copy; None before the first sync, or if the clock was set back."""
    last = noted(folder)
    passed = None if last is None else datetime.now(UTC) - last
    return passed if passed is not None and passed >= timedelta(0) else None


def age_text(passed: timedelta) -> str:
    """Return an age as text, in its largest whole unit."""
    seconds = int(passed.total_seconds())
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {name}{'' if number == 1 else 's'}"
    return "less than a minute"
