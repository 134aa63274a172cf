"""Emails about a change of address, to the old and to the new one."""

from vaultr.auth.emails.template_context import base, host
from vaultr.mail.service import Email, compose


def confirm_old(token: str, new_email: str) -> Email:
    """Return the email that asks the current address to confirm a change."""
    return compose(
        "email-confirm-old",
        "Confirm the new address of your Vaultr account",
        f"Somebody who knows your master password asked to change the address of your account at "
        f"{host()} to {new_email}.",
        "If this was you, open this page and press its button, or paste its token into "
        "`vaultr email confirm`. The new address must confirm too. The link works once, for 24 "
        "hours:",
        f"{base()}/email/confirm?token={token}",
        "If this was not you, do not press the button. End the sessions that you do not know "
        "(`vaultr sessions list`), and change your master password with `vaultr passwd` now, "
        "because somebody knows it.",
        notice=True,
    )


def confirm_new(token: str) -> Email:
    """Return the email that asks the new address to confirm a change."""
    return compose(
        "email-confirm-new",
        "Confirm this address for your Vaultr account",
        f"Somebody, probably you, asked to use this address for a Vaultr account at {host()}.",
        "If this was you, open this page and press its button, or paste its token into "
        "`vaultr email confirm`. The old address must confirm too. The link works once, for 24 "
        "hours:",
        f"{base()}/email/confirm?token={token}",
        "If this was not you, do nothing. Without a confirmation, nothing changes.",
    )


def address_in_use() -> Email:
    """Return the email to an owner whose address was requested for another account."""
    return compose(
        "email-in-use",
        "Your Vaultr account keeps its address",
        f"Somebody asked to move another Vaultr account at {host()} to this email address.",
        "The address belongs to your account, so nothing was changed.",
        "You do not need to do anything. If it was not you: that person was not told that you "
        "have an account.",
    )


def changed_old(token: str, new_email: str) -> Email:
    """Return the email that informs the old address, with the link that undoes the change."""
    return compose(
        "email-changed",
        "The address of your Vaultr account was changed",
        f"Your account at {host()} now has the address {new_email}. This address receives no more "
        "emails, and you log in with the new one.",
        "If this was not you, undo the change within 7 days: open this page and press its button, "
        "or paste its token into `vaultr email undo`. The account then has this address again, "
        "and all its sessions end:",
        f"{base()}/email/undo?token={token}",
        "Keep this email for 7 days. Until then nobody else can use this address here.",
        notice=True,
    )


def changed_new() -> Email:
    """Return the email that informs the new address."""
    return compose(
        "email-is-now",
        "Your Vaultr account now has this address",
        f"Your account at {host()} now has this address. Log in with it.",
        "The old address can undo this for 7 days.",
        notice=True,
    )


def undone() -> Email:
    """Return the email to the old address after the change was undone."""
    return compose(
        "email-undone",
        "Your Vaultr account has this address again",
        f"The change of address of your account at {host()} was undone, and all its sessions were "
        "ended. Log in again with this address.",
        "If somebody else had changed it, they know your master password. Change it now with "
        "`vaultr passwd`, and answer that others may know the old one. If they changed the "
        "password too, use your recovery key: `vaultr recover`.",
        notice=True,
    )


def lost() -> Email:
    """Return the email to the new address after the change was undone."""
    return compose(
        "email-lost",
        "A Vaultr account no longer has this address",
        f"The account at {host()} that had this address has its old address again: the owner of "
        "the old address undid the change.",
        notice=True,
    )
