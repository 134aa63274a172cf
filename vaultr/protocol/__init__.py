"""What client and server must agree on: KDF, limits, padding, log encoding, problems."""
