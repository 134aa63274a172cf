"""Check this device: its files, its session and its server."""
