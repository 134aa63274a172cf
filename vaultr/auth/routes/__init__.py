"""Routes of accounts and sessions, on one blueprint."""

from vaultr.auth.routes import account, email, factors, login, recovery, sessions, signup
from vaultr.auth.routes.blueprint import blueprint

__all__ = ["account", "blueprint", "email", "factors", "login", "recovery", "sessions", "signup"]
