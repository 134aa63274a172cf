"""The HTTP layer that all features share."""
