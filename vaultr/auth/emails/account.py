"""Emails about signup, login and credentials."""

import hashlib
from uuid import UUID

from vaultr.auth.emails.template_context import base, host
from vaultr.mail.service import Email, compose


def verification(account_id: UUID, token: str) -> Email:
    """Return the email that asks to confirm a signup, with a link and the code of the signup."""
    return compose(
        "verify-email",
        "Confirm your Vaultr account",
        f"Somebody, probably you, signed up for a Vaultr account with this address at {host()}.",
        f"The signup showed a code. Confirm only if this code was {account_code(account_id)}; "
        "with any other code, the account belongs to somebody else.",
        "To confirm, open this page and press its button, or paste its token into "
        "`vaultr verify`. The link works once, for 24 hours:",
        f"{base()}/verify-email?token={token}",
        "If this was not you, do nothing. Without a confirmation, no account is created.",
    )


def existing_owner() -> Email:
    """Return the email to an owner whose address was used for another signup."""
    return compose(
        "existing-owner",
        "You already have a Vaultr account",
        f"Somebody tried to sign up at {host()} with this email address.",
        "You already have an account, so no new one was created. If it was you, log in: "
        "`vaultr login`.",
        "If you changed the address of your account in the last 7 days, log in with the new "
        "address. This one is reserved for you until the 7 days are over.",
        "If it was not you, you do not need to do anything: that person was not told that you "
        "have an account.",
    )


def reuse_notice() -> Email:
    """Return the email about a session that ended because one of its tokens was used twice."""
    return compose(
        "session-reuse",
        "A Vaultr session was ended for your safety",
        f"One of your sessions at {host()} was ended, because one of its tokens was used again "
        "after it had been replaced.",
        "Either an old copy of a device's Vaultr folder was used, such as a restored backup, or "
        "somebody copied the token from one of your devices. Your vaults stay encrypted: a session "
        "alone cannot open them.",
        "Log in again on the device that asks for it. If you do not know of an old copy, find out "
        "who or what could read that device, and change your master password on another device "
        "with `vaultr passwd`.",
        notice=True,
    )


def credentials_changed(*, new_key: bool) -> Email:
    """Return the email about a new master password and, if replaced, a new account key."""
    return compose(
        "credentials-changed",
        "Your Vaultr master password was changed",
        f"The master password of your account at {host()} was changed"
        + (", its account key was replaced, and its recovery key was deleted." if new_key else "."),
        "All other devices were logged out. Log in again on each of them with "
        "`vaultr login --changed`.",
        "If this was not you, somebody knew your old master password and had one of your devices. "
        "If you have a recovery key, use it now: `vaultr recover`.",
        notice=True,
    )


def factor_added() -> Email:
    """Return the email about a new second factor."""
    return compose(
        "factor-added",
        "Your Vaultr account now needs a second factor",
        f"An authenticator app was added to your account at {host()}. Each login now also needs "
        "one of its codes, or one of the ten recovery codes that were shown.",
        "If this was not you, somebody who knows your master password did it on one of your "
        "logged-in devices. Remove the app with `vaultr totp remove`, change your master password "
        "with `vaultr passwd`, and check your sessions with `vaultr sessions list`.",
        notice=True,
    )


def factor_removed() -> Email:
    """Return the email about a removed second factor."""
    return compose(
        "factor-removed",
        "Your Vaultr account no longer needs a second factor",
        f"The authenticator app and the recovery codes of your account at {host()} were removed. "
        "A login now needs only the master password.",
        "If this was not you, somebody who knows your master password did it on one of your "
        "logged-in devices. Change your master password with `vaultr passwd`, and check your "
        "sessions with `vaultr sessions list`.",
        notice=True,
    )


def recovery_codes_renewed() -> Email:
    """Return the email about new recovery codes."""
    return compose(
        "codes-renewed",
        "Your Vaultr recovery codes were replaced",
        f"Ten new recovery codes were created for your account at {host()}. The old ones are "
        "invalid.",
        "If this was not you, somebody who knows your master password did it on one of your "
        "logged-in devices. Change your master password with `vaultr passwd`, and check your "
        "sessions with `vaultr sessions list`.",
        notice=True,
    )


def recovery_code_used(left: int) -> Email:
    """Return the email about a used recovery code."""
    return compose(
        "recovery-code-used",
        "A Vaultr recovery code was used",
        f"A recovery code was used instead of a second factor at {host()}. {left} of ten are left.",
        "If this was not you, somebody has your master password and your recovery codes. Change "
        "the password with `vaultr passwd`, replace the codes with `vaultr totp codes`, and check "
        "your sessions with `vaultr sessions list`.",
        notice=True,
    )


def account_deleted() -> Email:
    """Return the email about a deleted account."""
    return compose(
        "account-deleted",
        "Your Vaultr account was deleted",
        f"Your account at {host()} was deleted, with its vaults, sessions and machines. This "
        "cannot be undone. Its events stay in the audit log under a random id.",
        "If this was not you, somebody who knew your master password did it. A device that has "
        "your vaults in its cache can still read them without the server: do not log out on it.",
        notice=True,
    )


def account_code(account_id: UUID) -> str:
    """Return the code that the signup and its email show: 8 hex digits of SHA-256."""
    return hashlib.sha256(account_id.bytes).hexdigest()[:8]
