"""The objects that make up the public SDK."""
