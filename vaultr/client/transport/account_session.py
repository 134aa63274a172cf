"""Sends requests as the account: with its access token, renewed in time and between processes."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from vaultr.client.crypto.primitives import KEY_BYTES, hkdf_expand
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import Locked, SealBroken, SessionEnded, Unauthenticated
from vaultr.client.storage.private_folder import ACCOUNT_FILE, Folder
from vaultr.client.transport.access_token import session_of
from vaultr.client.transport.http_transport import Answer, Transport
from vaultr.client.transport.responses import Tokens, fields_of
from vaultr.client.transport.server_clock import time_of
from vaultr.protocol.encoding import lp

FILE: Final = "session.sealed"
_LABEL: Final = "vaultr/v1/device-session"
# Renewed a little before it ends, so that it does not end on the way.
_MARGIN_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """The tokens as this device keeps them, with the end of the access token by its own clock."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_ends: float

    @classmethod
    def of(cls, tokens: Tokens) -> "_Kept":
        ends = time.time() + tokens.access_seconds - _MARGIN_SECONDS
        return cls(access=tokens.access, refresh=tokens.refresh, access_ends=ends)


class Session:
    """The session of one account on one device; its tokens lie sealed under the account's key."""

    def __init__(
        self, transport: Transport, folder: Folder, *, account_id: UUID, account_key: bytes
    ) -> None:
        self._transport = transport
        self._folder = folder
        self._key = hkdf_expand(account_key, lp(_LABEL, account_id), KEY_BYTES)
        self._bound = lp(_LABEL, account_id)
        self._account_id = account_id
        self._account_seen = self._stamp_of_account()

    def server_time(self) -> datetime | None:
        """Tell the server's clock, as its last answer had it; None when that told none."""
        return time_of(self._transport.date)

    @property
    def origin(self) -> str:
        """The server that requests are sent to."""
        return self._transport.origin

    def begin(self, tokens: Tokens) -> None:
        """Keep the tokens of a new session."""
        self._keep(_Kept.of(tokens))

    def sealed(self, tokens: Tokens) -> bytes:
        """Give what the file of a new session holds, to be written together with others."""
        return self._sealed(_Kept.of(tokens))

    def sealed_for(self, account_key: bytes) -> bytes:
        """Give what the file of this session holds once the account has another key.

        :raises SessionEnded: there are no tokens.
        """
        other = Session(
            self._transport, self._folder, account_id=self._account_id, account_key=account_key
        )
        return other._sealed(self._kept())

    def kept_id(self) -> UUID | None:
        """Name the session whose tokens this device keeps; None where they do not tell.

        :raises SessionEnded: there are no tokens.
        :raises IntegrityError, Locked: this account key does not open them.
        """
        return session_of(self._kept().access, self._account_id)

    def forget(self) -> None:
        """Remove the tokens from this device."""
        self._folder.remove(FILE)

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
        """Send one request as :meth:`Transport.send` does; a void access token is renewed once.

        A login of another command on this device ends this session: then its tokens are taken.

        :raises SessionEnded: there is no session, or it is over; only a login helps.
        """
        kept = self._kept()
        if kept.access_ends <= time.time():
            kept = self._renew(kept)
        renewed = False
        while True:
            authorized = {"Authorization": f"Bearer {kept.access}", **(headers or {})}
            try:
                return self._transport.send(
                    method,
                    path,
                    body,
                    headers=authorized,
                    again=again,
                    longest_wait_seconds=longest_wait_seconds,
                )
            except Unauthenticated:
                if renewed and self._kept().access == kept.access:
                    raise
                kept, renewed = self._renew(kept), True

    def _renew(self, old: _Kept) -> _Kept:
        # One command at a time: whoever comes second finds the tokens that the first one got.
        with self._folder.locked():
            kept = self._kept()
            if kept.access != old.access:
                return kept
            try:
                # The server gives a lost successor again, for a while.
                answer = self._transport.send(
                    "POST", "/auth/refresh", {"refresh_token": kept.refresh}, again=True
                )
            except Unauthenticated:
                raise ended() from None
            kept = _Kept.of(Tokens.read(fields_of(answer, "refresh")))
            self._keep(kept)
            return kept

    def _keep(self, kept: _Kept) -> None:
        self._folder.write(FILE, self._sealed(kept))

    def _sealed(self, kept: _Kept) -> bytes:
        text = json.dumps([kept.access, kept.refresh, kept.access_ends])
        return seal(self._key, self._bound, text.encode())

    def _kept(self) -> _Kept:
        sealed = self._folder.read(FILE)
        if sealed is None:
            raise ended()
        try:
            return _Kept(*json.loads(open_sealed(self._key, self._bound, sealed)))
        except SealBroken:
            if self._stamp_of_account() != self._account_seen:
                raise key_replaced() from None
            raise self._folder.altered(FILE) from None

    def _stamp_of_account(self) -> tuple[int, int] | None:
        try:
            seen = (self._folder.path / ACCOUNT_FILE).stat()
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns


def key_replaced() -> Locked:
    """Make the refusal of a client whose account key is not the account's any more."""
    return Locked("Another command replaced the account's key meanwhile: unlock again.")


def ended() -> SessionEnded:
    """Make the refusal of a device that has no session."""
    return SessionEnded("session-ended", 401, "This device is not signed in: log in again.")
