"""Emails about the recovery key and account recovery."""

from collections.abc import Sequence
from datetime import datetime

from vaultr.auth.emails.template_context import base, host
from vaultr.mail.service import Email, compose


def recovery(token: str) -> Email:
    """Return the email with the token that proves access to the mailbox."""
    return compose(
        "recover",
        "Recover your Vaultr account",
        f"Somebody, probably you, asked to recover the account of this address at {host()}.",
        "Enter this token and your recovery key in `vaultr recover`. The token is valid for 72 "
        "hours:",
        token,
        "Then you wait for 24 hours, in which any logged-in device can cancel the recovery. After "
        "that, you set a new master password.",
        "If this was not you, do nothing. Without your recovery key the token is useless; do not "
        "share it anyway.",
    )


def no_recovery_key() -> Email:
    """Return the email to an owner who requested a recovery but has no recovery key."""
    return compose(
        "recover-impossible",
        "Your Vaultr account has no recovery key",
        f"Somebody, probably you, asked to recover the account of this address at {host()}.",
        "The account has no recovery key, so nobody can recover it: neither you nor this server. "
        "Only its master password opens it, on a new device together with its secret key.",
        "On a logged-in device, `vaultr recovery-key create` creates a recovery key.",
    )


def recovery_started(token: str, ready_at: datetime) -> Email:
    """Return the email about a started recovery, with the link that ends it."""
    return compose(
        "recovery-started",
        "A recovery of your Vaultr account has started",
        f"Somebody used the recovery key of your account at {host()}. From "
        f"{ready_at:%Y-%m-%d %H:%M} UTC, they can set a new master password.",
        "If this is you, wait until then and run `vaultr recover` again, with the same token.",
        "If this is not you, cancel the recovery now: run `vaultr recover --cancel` on a logged-in "
        "device, or open this page and press its button. This also deletes the recovery "
        "key that was used:",
        f"{base()}/recover/cancel?token={token}",
        notice=True,
    )


def recovery_cancelled() -> Email:
    """Return the email about a recovery that was cancelled, whose recovery key was deleted."""
    return compose(
        "recovery-cancelled",
        "A recovery of your Vaultr account was cancelled",
        f"The recovery of your account at {host()} was cancelled. Nothing was changed, but the "
        "recovery key that was used was deleted.",
        "Create a new one with `vaultr recovery-key create`, and store it in a safe place.",
        notice=True,
    )


def recovered(*, factors: Sequence[str], machines: int) -> Email:
    """Return the email about a completed recovery.

    :param factors: the kinds of the remaining second factors.
    :param machines: the number of machines that keep their access.
    """
    stay = [f"second factors: {', '.join(factors)}"] if factors else ["second factors: none"]
    stay.append(f"machines with access: {machines or 'none'}")
    return compose(
        "recovered",
        "Your Vaultr account was recovered",
        f"The account of this address at {host()} was recovered with its recovery key. It has a "
        "new master password, all devices were logged out, and the recovery key was deleted.",
        f"Not changed: {'; '.join(stay)}. Check them, and remove what you do not know. Then "
        "create a new recovery key with `vaultr recovery-key create`.",
        "If this was not you, somebody has your recovery key and reads your email. They know what "
        "was in your vaults: change every password that was there.",
        notice=True,
    )


def recovery_key_set() -> Email:
    """Return the email about a new recovery key."""
    return compose(
        "recovery-key-set",
        "Your Vaultr account has a new recovery key",
        f"A recovery key was created for your account at {host()}; an older one is invalid. "
        "Anybody who has it and reads your email can recover the account after 24 hours.",
        "If this was not you, remove it with `vaultr recovery-key remove`, end the sessions that "
        "you do not know (`vaultr sessions list`), and change your master password with `vaultr "
        "passwd`.",
        notice=True,
    )


def recovery_key_removed() -> Email:
    """Return the email about a removed recovery key."""
    return compose(
        "recovery-key-removed",
        "Your Vaultr account no longer has a recovery key",
        f"The recovery key of your account at {host()} was removed; the printed one is invalid. "
        "If the master password is lost, so are the vaults.",
        "If this was not you, end the sessions that you do not know (`vaultr sessions list`), "
        "change your master password with `vaultr passwd`, and create a new recovery key with "
        "`vaultr recovery-key create`.",
        notice=True,
    )
