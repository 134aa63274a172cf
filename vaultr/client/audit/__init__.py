"""Verify the server's audit log as its user: checkpoints, inclusion, consistency, own events."""
