"""The log of a vault, without network or files: entries, what follows of them, and all checks."""
