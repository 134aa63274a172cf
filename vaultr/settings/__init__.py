"""Settings: their types, how they are read, and how they are checked together."""
