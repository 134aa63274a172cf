"""Ranges of breached password hashes, so that clients can check stored passwords."""
