"""Purges of expired sessions, signups, tokens and login failures."""

from typing import Final

from vaultr.auth import email_change, known_devices, login_throttle, sessions, signup
from vaultr.auth.models import (
    EmailChange,
    EmailUndo,
    Failures,
    KnownDevice,
    Recovery,
    Session,
    WaitingSignup,
)
from vaultr.auth.recovery import tokens
from vaultr.database.purge import PurgeRule
from vaultr.settings.model import current_settings

PURGES: Final = (
    PurgeRule("sessions", lambda now: (Session.idle_until <= now,), sessions.remove_expired),
    PurgeRule(
        "refreshes",
        lambda _now: (Session.id.in_(sessions.overused(current_settings().quota_refreshes)),),
        sessions.end_overused,
    ),
    PurgeRule(
        "devices",
        lambda now: (KnownDevice.last_used_at < now - known_devices.UNUSED,),
        known_devices.remove_unused,
    ),
    PurgeRule("signups", lambda now: (WaitingSignup.expires_at <= now,), signup.remove_expired),
    PurgeRule("recoveries", lambda now: (Recovery.expires_at <= now,), tokens.remove_expired),
    PurgeRule(
        "addresses",
        lambda now: (EmailChange.expires_at <= now, EmailUndo.expires_at <= now),
        email_change.remove_expired,
    ),
    PurgeRule(
        "failures",
        lambda now: (Failures.failed_at < now - login_throttle.RETENTION,),
        login_throttle.remove_old,
    ),
)
