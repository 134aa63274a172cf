"""Writes a file that holds secrets: for its owner alone, whole or not at all."""

import errno
import os
import secrets
from pathlib import Path
from typing import Final

from vaultr.client.errors import VaultrError
from vaultr.client.storage.private_folder import sync_folder, write_new

# Some file systems know no second name of a file.
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class FileExists(VaultrError):
    """A file of that name is there already."""

    exit_code = 1
    advice = "Say --force to have it replaced."


def save(place: Path, data: bytes, *, force: bool) -> None:
    """Write ``data`` into a 0600 file; after a kill or on a full disk nothing half is there.

    A link is replaced and not followed.

    :param force: a file that is there gives way.
    :raises FileExists: one is there, and does not give way.
    :raises VaultrError: it cannot be written, and everything is as before.
    """
    unfinished = place.with_name(f".{place.name[:100]}.{secrets.token_hex(8)}.unfinished")
    try:
        if place.is_dir():
            raise FileExists(f"{place} is a folder.")
        write_new(unfinished, data)
        try:
            if force:
                unfinished.replace(place)
            else:
                _link(unfinished, place, data)
        finally:
            unfinished.unlink(missing_ok=True)
        sync_folder(place.parent)
    except FileExistsError:
        raise FileExists(f"{place} is there already; it was left as it is.") from None
    except OSError as error:
        raise VaultrError(f"{place}: {error.strerror}; nothing was written.") from error


def _link(unfinished: Path, place: Path, data: bytes) -> None:
    """Give it its name, which fails when there is one of that name, at this very moment."""
    try:
        os.link(unfinished, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        write_new(place, data)
