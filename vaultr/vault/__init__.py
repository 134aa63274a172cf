"""Vaults: sealed items under one key, and the log that vouches for them."""
