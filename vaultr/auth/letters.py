"""The letters about accounts, each as text and as HTML, with no secret in its subject."""

import hashlib
from html import escape
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from flask import current_app

from vaultr.mail.service import Letter
from vaultr.settings import Settings

_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{subject}</title></head>'
    "<body>{paragraphs}</body></html>\n"
)


def verification(account_id: UUID, token: str) -> Letter:
    """Ask the owner of an address to confirm a signup, by a link and the code that it shows."""
    return _letter(
        "verify-email",
        "Confirm your Vaultr account",
        f"Somebody, probably you, made a Vaultr account for this address at {_host()}.",
        f"Your signup showed a code. Confirm only if it was {account_code(account_id)}; "
        "with any other code the account is somebody else's.",
        "To confirm, open this page and press its button, or give the token in it to "
        "`vaultr verify`. It works once, for 24 hours:",
        f"{_base()}/verify-email?token={token}",
        "If this was not you, do nothing: without a confirmation there is no account.",
    )


def existing_owner() -> Letter:
    """Tell an owner that somebody tried to sign up with their address."""
    return _letter(
        "existing-owner",
        "You already have a Vaultr account",
        f"Somebody, perhaps you, tried to make a Vaultr account for this address at {_host()}.",
        "You have one already, so nothing was made or changed: sign in with `vaultr login`.",
        "If this was not you, there is nothing to do. Whoever it was learned nothing.",
    )


def reuse_notice() -> Letter:
    """Tell an owner that a session was ended because its token was used twice."""
    return _letter(
        "session-reuse",
        "A Vaultr session was ended for your safety",
        f"One of your sessions at {_host()} was ended, because a token of it was used again "
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
    return _letter(
        "credentials-changed",
        "Your Vaultr master password was changed",
        f"The master password of your account at {_host()} was changed"
        + (", its account key was replaced, and its recovery key has ended." if new_key else "."),
        "All other devices were signed out. On each of them sign in again with "
        "`vaultr login --changed`.",
        "If this was not you, somebody who knew your old master password and had one of your "
        "devices did it. If you have a recovery key, use it now: `vaultr recover`.",
        notice=True,
    )


def account_code(account_id: UUID) -> str:
    """Give the code that signup's screen and its letter both show: 8 hex digits of SHA-256."""
    return hashlib.sha256(account_id.bytes).hexdigest()[:8]


def _letter(kind: str, subject: str, *paragraphs: str, notice: bool = False) -> Letter:
    shown = "".join(f"<p>{_linked(paragraph)}</p>" for paragraph in paragraphs)
    html = _PAGE.format(subject=escape(subject), paragraphs=shown)
    text = "\n\n".join(paragraphs) + "\n"
    return Letter(kind=kind, subject=subject, text=text, html=html, notice=notice)


def _linked(paragraph: str) -> str:
    safe = escape(paragraph)
    if paragraph.startswith(f"{_base()}/"):
        return f'<a href="{safe}">{safe}</a>'
    return safe


def _base() -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return settings.base_url.rstrip("/")


def _host() -> str:
    return urlsplit(_base()).netloc
