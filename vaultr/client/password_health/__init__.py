"""Find passwords that are reused, weak, old, expiring or breached."""
