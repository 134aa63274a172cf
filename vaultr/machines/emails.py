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
        f" {expires_at:%Y-%m-%d at %H:%M} UTC. Its token stops working then.",
        "If you still need it, set a later expiry date with `vaultr machines edit` on one of your"
        " devices.",
        "If you no longer need it, delete it with `vaultr machines rm`. Until then, every key"
        " rotation of its vaults also seals the new keys for this machine.",
        notice=True,
    )
