"""Reject requests for an unknown host and, in production, requests without HTTPS."""

import re

from flask import Flask, request

from vaultr.api.contract import PROBE_PATHS
from vaultr.errors import BadRequest, Forbidden
from vaultr.settings.model import Settings, current_settings
from vaultr.settings.types import loopback

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


class HostUnknown(BadRequest):
    """This server does not serve that host name. Use the address in BASE_URL."""

    slug = "host-unknown"


class HttpsRequired(Forbidden):
    """Use HTTPS. The request was sent unencrypted, so treat its contents as compromised."""

    slug = "https-required"


def init_app(app: Flask, _settings: Settings) -> None:
    """Check host and scheme of each request; probes are exempt."""
    app.before_request(_check)


def _check() -> None:
    if request.path in PROBE_PATHS:
        return
    settings = current_settings()
    match = _HOST.fullmatch(request.environ.get("HTTP_HOST", ""))
    host = match[1].strip("[]").lower() if match else ""
    if host not in settings.hosts and (settings.production or not loopback(host)):
        raise HostUnknown
    if settings.production and not request.is_secure:
        raise HttpsRequired
