"""Build emails from paragraphs, as text and as HTML.

A link, or a token to copy, is its own paragraph, so that no mail reader breaks or extends it.
The HTML loads nothing: no image, font, style sheet or script.
"""

import re
from html import escape
from typing import Final

from vaultr.mail.message import Email

_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
_UNQUOTED: Final = re.compile(r"[^\w '()-]")
_COPIED: Final = re.compile(r"[A-Za-z0-9_.-]{20,}")

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{subject}</title>
</head>
<body style="margin: 0; padding: 1.5em; font: 16px/1.5 system-ui, sans-serif;">
<div style="max-width: 36em; margin: 0 auto;">
<h1 style="font-size: 1.25em;">{subject}</h1>
{paragraphs}
</div>
</body>
</html>
"""
_PARAGRAPH: Final = "<p>{text}</p>"
_ANCHOR: Final = '<p style="word-break: break-all;"><a href="{text}">{text}</a></p>'
_CODE: Final = (
    '<p><code style="font-size: 1.1em; word-break: break-all; user-select: all;">{text}</code></p>'
)


def compose(kind: str, subject: str, *paragraphs: str, notice: bool = False) -> Email:
    """Build an email from paragraphs. A paragraph with only a link or token is shown as that.

    :param kind: its kind, such as ``verify-email``; not secret.
    :param subject: readable by every mail server on the way: no token, no code, no name.
    :param notice: whether it is a security notice to an account's owner.
    """
    shown = "\n".join(_paragraph_html(paragraph) for paragraph in paragraphs)
    html = _PAGE.format(subject=escape(subject), paragraphs=shown)
    return Email(
        kind=kind, subject=subject, text="\n\n".join(paragraphs) + "\n", html=html, notice=notice
    )


def quote(name: str) -> str:
    """Quote a name that a user chose, without characters that mail readers turn into links."""
    return "\u201c" + _UNQUOTED.sub("\u00b7", name) + "\u201d"


def _paragraph_html(paragraph: str) -> str:
    safe = escape(paragraph)
    if _LINK.fullmatch(paragraph):
        return _ANCHOR.format(text=safe)
    if _COPIED.fullmatch(paragraph):
        return _CODE.format(text=safe)
    return _PARAGRAPH.format(text=safe)
