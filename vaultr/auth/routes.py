"""Accounts and sessions over HTTP: all routes of `vaultr.auth.doors`, on their one blueprint."""

from vaultr.auth.doors import account, email, factors, recovery, sessions, signin, signup
from vaultr.auth.doors.blueprint import blueprint

__all__ = ["account", "blueprint", "email", "factors", "recovery", "sessions", "signin", "signup"]
