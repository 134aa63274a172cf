"""What of accounts ends by itself: sessions, signups, tokens, counted failures."""

from typing import Final

from vaultr.auth import attempts, email_change, recovery_tokens, sessions, signup
from vaultr.auth.models import (
    EmailChange,
    EmailUndo,
    Failures,
    Recovery,
    Session,
    WaitingSignup,
)
from vaultr.database.expiry import Chore

CHORES: Final = (
    Chore("sessions", lambda now: (Session.idle_until <= now,), sessions.remove_expired),
    Chore("signups", lambda now: (WaitingSignup.expires_at <= now,), signup.remove_expired),
    Chore("recoveries", lambda now: (Recovery.expires_at <= now,), recovery_tokens.remove_expired),
    Chore(
        "addresses",
        lambda now: (EmailChange.expires_at <= now, EmailUndo.expires_at <= now),
        email_change.remove_expired,
    ),
    Chore("failures", lambda now: (Failures.failed_at < now - attempts.KEPT,), attempts.remove_old),
)
