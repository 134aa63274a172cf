"""Rules for the whole code base, checked on its files."""
