"""The vaults of an unlocked account: list, sync, read, write, rotate keys, delete."""
