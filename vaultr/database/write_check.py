"""Check whether the database accepts writes, which a standby or a full disk prevents.

On PostgreSQL, the check creates a temporary table of a few pages and rolls it back. A standby or a
full disk rejects this like any other write. It changes no data and needs no flush.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from vaultr.database import engine
from vaultr.database.session import db, postgresql

# SQLSTATE of PostgreSQL: read_only_sql_transaction, disk_full, io_error.
_NOT_WRITABLE: Final = frozenset({"25006", "53100", "58030"})
_NO_RIGHT: Final = "42501"
_GROW: Final = (
    "CREATE TEMPORARY TABLE vaultr_write_check (n integer) ON COMMIT DROP;"
    " INSERT INTO vaultr_write_check SELECT generate_series(1, 2000); SELECT 1"
)
_READ_ONLY: Final = "SELECT current_setting('transaction_read_only')"
_SQLITE_BYTES: Final = 1024 * 1024


def is_writable(seconds: float) -> bool:
    """Return whether the database accepts writes; True if it does not answer within ``seconds``.

    A role that may not create temporary tables detects only a standby.
    """
    if not postgresql():
        return _file_is_writable(Path(str(db.engine.url.database)))
    try:
        engine.query_once(_GROW, seconds)
    except engine.DatabaseUnavailable as error:
        if error.sqlstate == _NO_RIGHT:
            return _is_primary(seconds)
        return error.sqlstate not in _NOT_WRITABLE
    return True


def _is_primary(seconds: float) -> bool:
    try:
        return bool(engine.query_once(_READ_ONLY, seconds) != "on")
    except engine.DatabaseUnavailable:
        return True


def _file_is_writable(file: Path) -> bool:
    return os.access(file, os.W_OK) and shutil.disk_usage(file.parent).free > _SQLITE_BYTES
