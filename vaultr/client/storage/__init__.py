"""What a device keeps: itself, its account, its pins, and the sealed copy of its vaults."""
