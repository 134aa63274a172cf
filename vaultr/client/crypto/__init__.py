"""Suite 1: ciphers, keys, and the data bound to sealed values; the whole client builds on it."""
