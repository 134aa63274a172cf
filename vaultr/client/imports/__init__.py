"""Reads what other password managers and programs write, as drafts of items."""
