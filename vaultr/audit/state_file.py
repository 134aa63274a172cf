"""The signer's last checkpoint, in a file that restoring the database does not change."""

import os
import secrets
from pathlib import Path

from vaultr.settings.model import current_settings

_NAME = "audit-state"


def path() -> Path | None:
    """Return the path of the file; in development it is in VAULTR_HOME by default."""
    settings = current_settings()
    if settings.audit_state_file is not None:
        return settings.audit_state_file
    return None if settings.production else settings.vaultr_home / _NAME


def read() -> str | None:
    """Return the signed note in the file, or None without a file.

    :raises OSError: it cannot be read.
    """
    where = path()
    try:
        return None if where is None else where.read_text("utf-8")
    except FileNotFoundError:
        return None


def write(note: str) -> None:
    """Replace the note, and flush it to disk."""
    where = path()
    if where is None:
        return
    draft = where.with_name(f".{where.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(where)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(where.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
