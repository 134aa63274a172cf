"""Exports. Import from here, not from the modules behind it."""

from vaultr.export.archive import (
    Archive,  # an open export
    init_app,  # set how many exports a process runs
    open_archive,  # everything about one account
)

__all__ = ["Archive", "init_app", "open_archive"]
