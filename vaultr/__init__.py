"""Vaultr: a zero-knowledge secrets manager. The server stores only what clients have sealed."""

from typing import TYPE_CHECKING, Any

from vaultr.version import __version__

if TYPE_CHECKING:
    from vaultr.app import create_app
    from vaultr.client.vaultr_client import Vaultr

__all__ = ["Vaultr", "__version__", "create_app"]


def __getattr__(name: str) -> Any:
    # Imported lazily, because the client must not load the server, nor the server the client.
    if name == "create_app":
        from vaultr.app import create_app  # noqa: PLC0415 - late, see above

        return create_app
    if name == "Vaultr":
        from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - late, see above

        return Vaultr
    raise AttributeError(name)
