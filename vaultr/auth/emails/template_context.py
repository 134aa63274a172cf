"""What the letters about accounts are written with: this server's address, and its name."""

from urllib.parse import urlsplit

from vaultr.mail.rendering import written
from vaultr.settings.model import current_settings

__all__ = ["base", "host", "written"]


def base() -> str:
    """Give the address of this server, without a slash at its end."""
    settings = current_settings()
    return settings.base_url.rstrip("/")


def host() -> str:
    """Give this server's name, as its owners know it."""
    return urlsplit(base()).netloc
