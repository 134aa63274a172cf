"""Vaults: sealed items under one key, and the log that commits to them."""
