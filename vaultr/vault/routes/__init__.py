"""The routes of vaults, items and their log, on one blueprint."""

from vaultr.vault.routes import changes, items, rotation, vaults, versions
from vaultr.vault.routes.blueprint import blueprint

__all__ = ["blueprint", "changes", "items", "rotation", "vaults", "versions"]
