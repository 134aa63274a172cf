"""Values that all emails about accounts contain: the URL and the name of this server."""

from urllib.parse import urlsplit

from vaultr.settings.model import current_settings


def base() -> str:
    """Return the URL of this server, without a slash at the end."""
    settings = current_settings()
    return settings.base_url.rstrip("/")


def host() -> str:
    """Return the name of this server, as its users know it."""
    return urlsplit(base()).netloc
