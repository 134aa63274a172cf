"""Plant secrets that must never appear in plaintext on the server, and prove that they open."""
