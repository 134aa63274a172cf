"""Backups of the whole installation: create, seal, verify, restore, prune, drill."""
