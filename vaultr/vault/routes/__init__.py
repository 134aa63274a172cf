"""Vaults, their items and their log over HTTP: all routes of `doors`, on their one blueprint."""

from vaultr.vault.routes import changes, items, rotation, vaults, versions
from vaultr.vault.routes.blueprint import blueprint

__all__ = ["blueprint", "changes", "items", "rotation", "vaults", "versions"]
