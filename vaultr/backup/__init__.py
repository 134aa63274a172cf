"""Backups of the whole installation: make, seal, verify, restore, prune and practise."""
