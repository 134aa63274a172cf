"""The letters about the recovery key, and about recovering an account with it."""

from collections.abc import Sequence
from datetime import datetime

from vaultr.auth.emails.template_context import base, host, written
from vaultr.mail.service import Letter


def recovery(token: str) -> Letter:
    """Give who asked to recover an account the token that proves its mailbox."""
    return written(
        "recover",
        "Recover your Vaultr account",
        f"Somebody, probably you, asked to recover the account of this address at {host()}.",
        "Give this token, and your recovery key, to `vaultr recover`. It is good for 72 hours:",
        token,
        "From then on there is a wait of 24 hours, during which any device that is still signed "
        "in can end the recovery; after it you set a new master password.",
        "If this was not you, do nothing. Without your recovery key the token is good for nothing; "
        "keep it to yourself all the same.",
    )


def no_recovery_key() -> Letter:
    """Tell an owner who asked to recover an account that it has no recovery key."""
    return written(
        "recover-impossible",
        "Your Vaultr account has no recovery key",
        f"Somebody, probably you, asked to recover the account of this address at {host()}.",
        "It has no recovery key, so nobody can recover it: neither you nor this server. What "
        "opens it is its master password, and its secret key on a new device.",
        "On a device that is still signed in, `vaultr recovery-key create` makes a recovery key.",
    )


def recovery_started(token: str, ready_at: datetime) -> Letter:
    """Tell an owner that the recovery key was used, and how to end the recovery."""
    return written(
        "recovery-started",
        "A recovery of your Vaultr account has begun",
        f"Somebody used the recovery key of your account at {host()}. From "
        f"{ready_at:%Y-%m-%d %H:%M} UTC on, they can set a new master password.",
        "If this is you, wait until then and run `vaultr recover` again, with the same token.",
        "If this is not you, end it now: on a device that is signed in with "
        "`vaultr recover --cancel`, or by opening this page and pressing its button. The recovery "
        "key that was used ends with it:",
        f"{base()}/recover/cancel?token={token}",
        notice=True,
    )


def recovery_cancelled() -> Letter:
    """Tell an owner that a recovery was ended, and the recovery key with it."""
    return written(
        "recovery-cancelled",
        "A recovery of your Vaultr account was ended",
        f"The recovery of your account at {host()} that was under way was ended; nothing was "
        "changed. The recovery key that was used has ended too.",
        "Make a new one with `vaultr recovery-key create`, and keep it where nobody finds it.",
        notice=True,
    )


def recovered(*, factors: Sequence[str], machines: int) -> Letter:
    """Tell an owner that the account was recovered, and what was left as it was.

    :param factors: the kinds of second factors that stay.
    :param machines: how many machines keep their access.
    """
    stay = [f"second factors: {', '.join(factors)}"] if factors else ["second factors: none"]
    stay.append(f"machines with access: {machines or 'none'}")
    return written(
        "recovered",
        "Your Vaultr account was recovered",
        f"The account of this address at {host()} was recovered with its recovery key: it has a "
        "new master password, all devices were signed out, and the recovery key has ended.",
        f"What stays as it was: {'; '.join(stay)}. Look through them, and end what you do not "
        "know. Then make a new recovery key with `vaultr recovery-key create`.",
        "If this was not you, somebody has your recovery key and reads your mail: what was in "
        "your vaults is known to them. Change every password that was there.",
        notice=True,
    )


def recovery_key_set() -> Letter:
    """Tell an owner that the account has a new recovery key."""
    return written(
        "recovery-key-set",
        "Your Vaultr account has a new recovery key",
        f"A recovery key was made for your account at {host()}; one that was there before has "
        "ended. Whoever holds it and reads your mail can recover the account after 24 hours.",
        "If this was not you, remove it with `vaultr recovery-key remove`, end the sessions that "
        "you do not know, and change your master password.",
        notice=True,
    )


def recovery_key_removed() -> Letter:
    """Tell an owner that the account has no recovery key any more."""
    return written(
        "recovery-key-removed",
        "Your Vaultr account has no recovery key any more",
        f"The recovery key of your account at {host()} was removed: the printed one is worth "
        "nothing now. If the master password is lost, so is what is in the vaults.",
        "If this was not you, end the sessions that you do not know, change your master password, "
        "and make a new one with `vaultr recovery-key create`.",
        notice=True,
    )
