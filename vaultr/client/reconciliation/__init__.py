"""Histories that part after a server went back: explained, accepted, written again."""
