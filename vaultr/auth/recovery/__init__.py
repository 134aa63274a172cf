"""Recover an account with its recovery key."""
