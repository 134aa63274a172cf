"""Breached passwords. Import from here, not from the modules behind it."""

from vaultr.breach.ranges import find_range, init_app

__all__ = ["find_range", "init_app"]
