"""The name of this log: the host of BASE_URL at the first start, stored permanently."""

from urllib.parse import urlsplit

from vaultr.audit import transaction_hooks
from vaultr.database.session import fact
from vaultr.settings.model import current_settings

_FACT = "audit-origin"


def current() -> str:
    """Return the log's name, such as ``vault.example/audit``.

    It is cached after the first committed transaction that has read it.
    """
    return transaction_hooks.pool().origin or fact(_FACT, _first).decode()


def _first() -> bytes:
    settings = current_settings()
    return f"{urlsplit(settings.base_url).hostname}/audit".encode()
