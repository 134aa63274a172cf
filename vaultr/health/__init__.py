"""Probes: health, readiness and heartbeats of processes."""
