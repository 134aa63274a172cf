"""The letters about a change of the mail address, to the old one and to the new one."""

from vaultr.auth.emails.template_context import base, host, written
from vaultr.mail.service import Letter


def confirm_old(token: str, new_email: str) -> Letter:
    """Ask the address that an account has whether it is to have another."""
    return written(
        "email-confirm-old",
        "Confirm the new address of your Vaultr account",
        f"Somebody who proved your master password asked to change the address of your account at "
        f"{host()} to {new_email}.",
        "If this was you, open this page and press its button, or give the token in it to "
        "`vaultr email confirm`. The new address has to confirm too. It works once, for 24 hours:",
        f"{base()}/email/confirm?token={token}",
        "If this was not you, do not press it, end the sessions that you do not know, and change "
        "your master password now: it is known to somebody.",
        notice=True,
    )


def confirm_new(token: str) -> Letter:
    """Ask a new address whether an account is to have it."""
    return written(
        "email-confirm-new",
        "Confirm this address for your Vaultr account",
        f"Somebody, probably you, wants a Vaultr account at {host()} to have this address.",
        "If this was you, open this page and press its button, or give the token in it to "
        "`vaultr email confirm`. The old address has to confirm too. It works once, for 24 hours:",
        f"{base()}/email/confirm?token={token}",
        "If this was not you, do nothing: without a confirmation nothing changes.",
    )


def address_in_use() -> Letter:
    """Tell an owner that another account was to be given the address of theirs."""
    return written(
        "email-in-use",
        "Your Vaultr account keeps its address",
        f"Somebody, perhaps you, wanted another Vaultr account at {host()} to have this address.",
        "An account has it already, so nothing was changed.",
        "If this was not you, there is nothing to do. Whoever it was learned nothing.",
    )


def changed_old(token: str, new_email: str) -> Letter:
    """Tell the old address that the account has another, and how to undo that."""
    return written(
        "email-changed",
        "The address of your Vaultr account was changed",
        f"Your account at {host()} now has the address {new_email}. Letters no longer come here, "
        "and you sign in with the new address.",
        "If this was not you, undo it within 7 days: open this page and press its button, or give "
        "the token in it to `vaultr email undo`. The account then has this address again, and all "
        "its sessions end:",
        f"{base()}/email/undo?token={token}",
        "Keep this letter for so long. Until then nobody else can have this address here.",
        notice=True,
    )


def changed_new() -> Letter:
    """Tell the new address that the account has it."""
    return written(
        "email-is-now",
        "Your Vaultr account has this address now",
        f"Your account at {host()} has this address from now on: sign in with it.",
        "The old address can undo this for 7 days.",
        notice=True,
    )


def undone() -> Letter:
    """Tell an owner that the account has its old address again."""
    return written(
        "email-undone",
        "Your Vaultr account has this address again",
        f"The change of the address of your account at {host()} was undone, and all its sessions "
        "were ended. Sign in again with this address.",
        "If somebody else had changed it, they know your master password: change it now, with "
        "`vaultr passwd`, and say that others may know it. If they changed that too, "
        "use your recovery key: `vaultr recover`.",
        notice=True,
    )


def lost() -> Letter:
    """Tell an address that an account does not have it any more, because a change was undone."""
    return written(
        "email-lost",
        "A Vaultr account does not have this address any more",
        f"The account at {host()} that had this address has its old one again: the change was "
        "undone from there.",
        notice=True,
    )
