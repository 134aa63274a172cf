"""Emails about machines."""

from datetime import datetime
from urllib.parse import urlsplit

from vaultr.mail.service import Email, compose, quote
from vaultr.settings.model import current_settings


def expires_soon(name: str, expires_at: datetime) -> Email:
    """Return the email to the owner of a machine that expires in a week."""
    host = urlsplit(current_settings().base_url).netloc
    return compose(
        "machine-expires",
        "A machine of your Vaultr account expires soon",
        f"The machine {quote(name)} of your account at {host} expires on"
        f" {expires_at:%Y-%m-%d at %H:%M} UTC. After that, its token no longer works.",
        "If it is still needed, set a later time for it on one of your devices, or replace its "
        "token.",
        "If not, delete it: until then, each rotation of its vaults seals new keys for it too.",
        notice=True,
    )
