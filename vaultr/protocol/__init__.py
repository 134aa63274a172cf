"""Definitions that client and server share: KDF, limits, padding, log encoding, problems."""
