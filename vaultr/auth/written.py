"""How a letter is written: as text and as HTML, a link on a line of its own, no secret on top."""

from html import escape
from typing import Final
from urllib.parse import urlsplit

from flask import current_app

from vaultr.mail.service import Letter
from vaultr.settings import Settings

_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{subject}</title></head>'
    "<body>{paragraphs}</body></html>\n"
)


def written(kind: str, subject: str, *paragraphs: str, notice: bool = False) -> Letter:
    """Write a letter; a paragraph that is an address of this server becomes a link."""
    shown = "".join(f"<p>{_linked(paragraph)}</p>" for paragraph in paragraphs)
    html = _PAGE.format(subject=escape(subject), paragraphs=shown)
    text = "\n\n".join(paragraphs) + "\n"
    return Letter(kind=kind, subject=subject, text=text, html=html, notice=notice)


def base() -> str:
    """Give the address of this server, without a slash at its end."""
    settings: Settings = current_app.config["SETTINGS"]
    return settings.base_url.rstrip("/")


def host() -> str:
    """Give this server's name, as its owners know it."""
    return urlsplit(base()).netloc


def _linked(paragraph: str) -> str:
    safe = escape(paragraph)
    if paragraph.startswith(f"{base()}/"):
        return f'<a href="{safe}">{safe}</a>'
    return safe
