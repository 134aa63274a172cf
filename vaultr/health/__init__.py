"""Probes: whether this process lives, and whether it should be sent requests."""
