"""Read codes, tokens and links from the emails of a real server."""

import email
import email.policy
import re
import time

PATIENCE_SECONDS = 30
# The pages that links open, and the token on its own line.
LINK = r"^\S+{page}\?token=([A-Za-z0-9_-]+)$"
BARE = r"^([A-Za-z0-9_-]{43})$"


def mailed(site, to, pattern, *, least=1):
    """Return the matches of ``pattern`` in the emails to one address, oldest first.

    Wait until there are at least ``least`` matches.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = [
            match[1]
            for text in _texts(site, to)
            if (match := re.search(pattern, text, re.MULTILINE)) is not None
        ]
        if len(found) >= least:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no such mail to {to}: {_texts(site, to)}")


def link(page):
    """Return the pattern of a link to one of the server's pages."""
    return LINK.format(page=page)


def _texts(site, to):
    texts = []
    for file in sorted(site._mails.glob("*.eml"), key=lambda each: each.stat().st_mtime_ns):
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        if mail["To"] is not None and to in str(mail["To"]):
            texts.append(mail.get_body(("plain",)).get_content())
    return texts
