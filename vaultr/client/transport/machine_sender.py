"""Send the requests of a machine, with the key derived from its token."""

from collections.abc import Mapping
from datetime import datetime

from vaultr.client.crypto.machine_keys import MachineToken
from vaultr.client.errors import Refused, Unauthenticated
from vaultr.client.transport.http_transport import Answer, Transport
from vaultr.client.transport.responses import time_of


class MachineRejected(Refused):
    """The server does not accept this machine."""

    advice = (
        "The token has expired or was replaced or deleted, or the account of its owner is locked."
        " For a new token, the owner runs: vaultr machines token NAME"
    )


class MachineSender:
    """Sends requests as one machine, whose credential never changes."""

    def __init__(self, transport: Transport, token: MachineToken) -> None:
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {token.bearer}"}

    def server_time(self) -> datetime | None:
        """Return the server's time in its last response; None if it sent none."""
        return time_of(self._transport.date)

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
        """Send one request as :meth:`Transport.send` does.

        :raises MachineRejected: the token is not valid, or no longer valid.
        """
        try:
            return self._transport.send(
                method,
                path,
                body,
                headers={**self._headers, **(headers or {})},
                again=again,
                longest_wait_seconds=longest_wait_seconds,
            )
        except Unauthenticated as error:
            raise MachineRejected(error.slug, error.status, error.detail) from None
