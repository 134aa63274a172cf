"""The letters about signing up and signing in."""

import hashlib
from uuid import UUID

from vaultr.auth.emails.template_context import base, host, written
from vaultr.mail.service import Letter


def verification(account_id: UUID, token: str) -> Letter:
    """Ask the owner of an address to confirm a signup, by a link and the code that it shows."""
    return written(
        "verify-email",
        "Confirm your Vaultr account",
        f"Somebody, probably you, made a Vaultr account for this address at {host()}.",
        f"Your signup showed a code. Confirm only if it was {account_code(account_id)}; "
        "with any other code the account is somebody else's.",
        "To confirm, open this page and press its button, or give the token in it to "
        "`vaultr verify`. It works once, for 24 hours:",
        f"{base()}/verify-email?token={token}",
        "If this was not you, do nothing: without a confirmation there is no account.",
    )


def existing_owner() -> Letter:
    """Tell an owner that somebody tried to sign up with their address."""
    return written(
        "existing-owner",
        "You already have a Vaultr account",
        f"Somebody, perhaps you, tried to make a Vaultr account for this address at {host()}.",
        "You have one already, so nothing was made or changed: sign in with `vaultr login`.",
        "If your account was given another address in the last 7 days, sign in with that one; "
        "until then nobody else can have this address.",
        "If this was not you, there is nothing to do. Whoever it was learned nothing.",
    )


def reuse_notice() -> Letter:
    """Tell an owner that a session was ended because its token was used twice."""
    return written(
        "session-reuse",
        "A Vaultr session was ended for your safety",
        f"One of your sessions at {host()} was ended, because a token of it was used again "
        "after it had been replaced.",
        "Either an old copy of a device's Vaultr folder was used, such as a restored backup, or "
        "somebody copied the token from one of your devices. What is in your vaults stays sealed; "
        "the session opens nothing by itself.",
        "Sign in again on the device that asks for it. If you know of no old copy, look for what "
        "could have read that device, and change your master password from another one.",
        notice=True,
    )


def credentials_changed(*, new_key: bool) -> Letter:
    """Tell an owner that the master password was changed, and with it perhaps the account key."""
    return written(
        "credentials-changed",
        "Your Vaultr master password was changed",
        f"The master password of your account at {host()} was changed"
        + (", its account key was replaced, and its recovery key has ended." if new_key else "."),
        "All other devices were signed out. On each of them sign in again with "
        "`vaultr login --changed`.",
        "If this was not you, somebody who knew your old master password and had one of your "
        "devices did it. If you have a recovery key, use it now: `vaultr recover`.",
        notice=True,
    )


def factor_added() -> Letter:
    """Tell an owner that signing in needs a second factor from now on."""
    return written(
        "factor-added",
        "Your Vaultr account now asks for a second factor",
        f"An authenticator app was added to your account at {host()}. Signing in now needs one of "
        "its codes too, or one of the ten recovery codes that were shown.",
        "If this was not you, somebody who knows your master password did it on a signed-in "
        "device. Remove it from a device of yours, change your master password, and look at your "
        "sessions.",
        notice=True,
    )


def factor_removed() -> Letter:
    """Tell an owner that signing in needs no second factor any more."""
    return written(
        "factor-removed",
        "Your Vaultr account no longer asks for a second factor",
        f"The authenticator app and the recovery codes of your account at {host()} were removed. "
        "Signing in needs the master password alone.",
        "If this was not you, somebody who knows your master password did it on a signed-in "
        "device. Change your master password, and look at your sessions.",
        notice=True,
    )


def codes_renewed() -> Letter:
    """Tell an owner that the recovery codes are new ones."""
    return written(
        "codes-renewed",
        "Your Vaultr recovery codes were renewed",
        f"Ten new recovery codes were made for your account at {host()}. The old ones are void.",
        "If this was not you, somebody who knows your master password did it on a signed-in "
        "device. Change your master password, and look at your sessions.",
        notice=True,
    )


def recovery_code_used(left: int) -> Letter:
    """Tell an owner that a recovery code stood in for the second factor."""
    return written(
        "recovery-code-used",
        "A Vaultr recovery code was used",
        f"A recovery code was used in place of a second factor at {host()}. "
        f"{left} of ten are left.",
        "If this was not you, somebody has your master password and your recovery codes. Change "
        "the password, renew the codes, and look at your sessions.",
        notice=True,
    )


def account_deleted() -> Letter:
    """Tell an owner that the account is gone, with all that it held."""
    return written(
        "account-deleted",
        "Your Vaultr account was deleted",
        f"Your account at {host()} was deleted, with its vaults, sessions and machines. It cannot "
        "be brought back. What was recorded about it stays in the audit log under a random id.",
        "If this was not you, somebody who knew your master password did it. What a device of "
        "yours still has in its cache can be read there without the server: make no logout on it.",
        notice=True,
    )


def account_code(account_id: UUID) -> str:
    """Give the code that signup's screen and its letter both show: 8 hex digits of SHA-256."""
    return hashlib.sha256(account_id.bytes).hexdigest()[:8]
