"""Suite 1: ciphers, keys and what each sealed thing is bound to; all else stands on these."""
