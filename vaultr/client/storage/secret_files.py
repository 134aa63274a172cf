"""Write files with secrets: private and atomic."""

import errno
import os
import secrets
from pathlib import Path
from typing import Final

from vaultr.client.errors import VaultrError
from vaultr.client.storage.private_folder import sync_folder, write_new

# Some file systems do not support hard links.
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class FileExists(VaultrError):
    """A file with this name exists already."""

    advice = "To replace it, use --force."


def save(place: Path, data: bytes, *, force: bool) -> None:
    """Write ``data`` to a file with mode 0600; after a kill or on a full disk no part is left.

    A link is replaced, not followed.

    :param force: replace an existing file.
    :raises FileExists: a file exists, and ``force`` is False.
    :raises VaultrError: the file cannot be written; nothing was changed.
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
        raise FileExists(f"{place} already exists and was not changed.") from None
    except OSError as error:
        message = f"{place} cannot be written: {error.strerror}; nothing was written."
        raise VaultrError(message) from error


def _link(unfinished: Path, place: Path, data: bytes) -> None:
    """Rename the file; fail if the name exists, even if another process creates it now."""
    try:
        os.link(unfinished, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        write_new(place, data)
