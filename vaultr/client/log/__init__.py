"""The log of a vault, without network or files: entries, states, and every check."""
