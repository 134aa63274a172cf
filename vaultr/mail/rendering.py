"""How a letter is written: once, as paragraphs, from which come its text and its HTML twin.

A link, or a token to copy, is a paragraph of its own, so that no reader breaks or prolongs it. The
HTML needs nothing from elsewhere: no image, no font, no style sheet, no script.
"""

import re
from html import escape
from typing import Final

from vaultr.mail.message import Letter

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


def written(kind: str, subject: str, *paragraphs: str, notice: bool = False) -> Letter:
    """Write a letter; a paragraph that is nothing but a link or a token is shown as one.

    :param kind: a word for it, such as ``verify-email``; it is not secret.
    :param subject: a line that everybody on the way may read: no token, no code, no name.
    :param notice: it tells an owner of something that concerns the account's security.
    """
    shown = "\n".join(_shown(paragraph) for paragraph in paragraphs)
    html = _PAGE.format(subject=escape(subject), paragraphs=shown)
    return Letter(
        kind=kind, subject=subject, text="\n\n".join(paragraphs) + "\n", html=html, notice=notice
    )


def quoted(name: str) -> str:
    """Quote what somebody chose to be called, without what mail readers would make a link of."""
    return "\u201c" + _UNQUOTED.sub("\u00b7", name) + "\u201d"


def _shown(paragraph: str) -> str:
    safe = escape(paragraph)
    if _LINK.fullmatch(paragraph):
        return _ANCHOR.format(text=safe)
    if _COPIED.fullmatch(paragraph):
        return _CODE.format(text=safe)
    return _PARAGRAPH.format(text=safe)
