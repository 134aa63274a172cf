"""An unlocked account's vaults: listed, synced, read, written, given new keys, and deleted."""
