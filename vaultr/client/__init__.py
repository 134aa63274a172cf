"""The client: seals, derives and verifies everything, and trusts only what it can verify."""
