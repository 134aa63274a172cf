"""Accounts: signup, login, sessions, second factors, recovery."""
