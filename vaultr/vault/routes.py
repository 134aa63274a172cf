"""Vaults, their items and their log over HTTP: all routes of `doors`, on their one blueprint."""

from vaultr.vault.doors import items, log, rotation, vaults, versions
from vaultr.vault.doors.blueprint import blueprint

__all__ = ["blueprint", "items", "log", "rotation", "vaults", "versions"]
