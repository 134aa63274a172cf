"""What sends the requests of an account or a machine."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from vaultr.client.transport.http_transport import Answer


class RequestSender(Protocol):
    """Sends requests with the credential of an account's session or of a machine."""

    def server_time(self) -> datetime | None:
        """Return the server's time in its last response; None if it sent none."""
        ...

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
        longest_wait_seconds: float | None = None,
    ) -> Answer:
        """Send one request as :meth:`Transport.send` does."""
        ...
