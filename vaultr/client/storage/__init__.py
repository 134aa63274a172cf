"""The files of a device: its settings, account, pins, and copy of the vaults."""
