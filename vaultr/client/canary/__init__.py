"""Plant test secrets that must never appear in plaintext on the server; prove that they open."""
