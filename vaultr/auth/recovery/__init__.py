"""Account recovery with the recovery key."""
