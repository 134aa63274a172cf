"""Accounts: how one begins, how its owner signs in, and how long a session lives."""
