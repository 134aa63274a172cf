"""Sends requests with the account's access token, and renews it for all local processes."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from vaultr.client.crypto.primitives import KEY_BYTES, hkdf_expand
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import AnswerInvalid, Locked, SealBroken, SessionEnded, Unauthenticated
from vaultr.client.storage.private_folder import ACCOUNT_FILE, Folder
from vaultr.client.transport.http_transport import Answer, Transport
from vaultr.client.transport.responses import Tokens, fields_of, session_of, time_of
from vaultr.protocol import notes
from vaultr.protocol.encoding import lp

SESSION_FILE: Final = "session.sealed"
_LABEL: Final = "vaultr/v1/device-session"
# The access token is renewed a little early, so that it does not expire in transit.
_MARGIN_SECONDS: Final = 15.0
_CHANGING: Final = ("POST", "PUT", "PATCH")
_NEEDS_NO_SPACE: Final = ("/auth/logout", "/auth/logout-all")


@dataclass(frozen=True, slots=True)
class _StoredTokens:
    """The tokens in the session's file; the access token's expiry is by this device's clock."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_ends: float

    @classmethod
    def of(cls, tokens: Tokens) -> "_StoredTokens":
        ends = time.time() + tokens.access_seconds - _MARGIN_SECONDS
        return cls(access=tokens.access, refresh=tokens.refresh, access_ends=ends)


class Session:
    """The session of one account on one device; its tokens are sealed under the account key."""

    def __init__(
        self, transport: Transport, folder: Folder, *, account_id: UUID, account_key: bytes
    ) -> None:
        self._transport = transport
        self._folder = folder
        self._key = hkdf_expand(account_key, lp(_LABEL, account_id), KEY_BYTES)
        self._aad = lp(_LABEL, account_id)
        self._account_id = account_id
        self._account_file_at_start = self._account_file()

    def server_time(self) -> datetime | None:
        """Return the server's time in its last response; None if it sent none."""
        return time_of(self._transport.date)

    def checkpoints(self) -> list[tuple[int, int, bytes]]:
        """Return the checkpoints of the audit log that response headers showed.

        :raises AnswerInvalid: one of them is malformed.
        """
        found = []
        for text in self._transport.checkpoints:
            try:
                epoch, size, root = text.split(" ")
                found.append((notes.number(epoch), notes.number(size), notes.decode(root)))
            except (ValueError, notes.NoteInvalid):
                raise AnswerInvalid("its X-Vaultr-Checkpoint is invalid") from None
        return found

    @property
    def origin(self) -> str:
        """The server that requests are sent to."""
        return self._transport.origin

    def begin(self, tokens: Tokens) -> None:
        """Store the tokens of a new session."""
        self._store(_StoredTokens.of(tokens))

    def sealed(self, tokens: Tokens) -> bytes:
        """Return the session's file for new tokens, to write it together with other files."""
        return self._sealed(_StoredTokens.of(tokens))

    def sealed_for(self, account_key: bytes) -> bytes:
        """Return the session's file, sealed under another account key.

        :raises SessionEnded: this device has no tokens.
        """
        other = Session(
            self._transport, self._folder, account_id=self._account_id, account_key=account_key
        )
        return other._sealed(self._stored())

    def stored_id(self) -> UUID | None:
        """Return the id of the stored session; None if its token does not have one.

        :raises SessionEnded: this device has no tokens.
        :raises IntegrityError, Locked: this account key does not open them.
        """
        return session_of(self._stored().access, self._account_id)

    def forget(self) -> None:
        """Delete the tokens from this device."""
        self._folder.remove(SESSION_FILE)

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
        """Send one request as :meth:`Transport.send` does; renew an expired access token once.

        If another command of this device has logged in since, the new session's tokens are used.

        :raises SessionEnded: this device has no session, or it has ended: log in again.
        :raises DiskFull: this device cannot store what a change returns; nothing was sent.
        """
        if method in _CHANGING and path not in _NEEDS_NO_SPACE:
            self._folder.require_space(_text_size(body))
        tokens = self._stored()
        if tokens.access_ends <= time.time():
            tokens = self._renew(tokens)
        renewed = False
        while True:
            authorized = {"Authorization": f"Bearer {tokens.access}", **(headers or {})}
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
                if renewed and self._stored().access == tokens.access:
                    raise
                tokens, renewed = self._renew(tokens), True

    def download(self, path: str, sink: Callable[[bytes], object]) -> None:
        """Send a GET request, and pass its long response on as :meth:`Transport.download` does.

        :raises SessionEnded: this device has no session, or it has ended: log in again.
        """
        tokens = self._stored()
        if tokens.access_ends <= time.time():
            tokens = self._renew(tokens)
        try:
            self._download(path, sink, tokens)
        except Unauthenticated:
            self._download(path, sink, self._renew(tokens))

    def _download(self, path: str, sink: Callable[[bytes], object], tokens: _StoredTokens) -> None:
        headers = {"Authorization": f"Bearer {tokens.access}"}
        self._transport.download(path, sink, headers=headers)

    def _renew(self, old: _StoredTokens) -> _StoredTokens:
        # One command at a time: the second one finds the tokens of the first.
        with self._folder.locked():
            stored = self._stored()
            if stored.access != old.access:
                return stored
            self._folder.require_space()  # the old token is used up once it is sent
            try:
                # If the response is lost, the server returns the same new token for a while.
                answer = self._transport.send(
                    "POST", "/auth/refresh", {"refresh_token": stored.refresh}, again=True
                )
            except Unauthenticated:
                raise session_ended() from None
            renewed = _StoredTokens.of(Tokens.read(fields_of(answer, "refresh")))
            self._store(renewed)
            return renewed

    def _store(self, tokens: _StoredTokens) -> None:
        self._folder.write(SESSION_FILE, self._sealed(tokens))

    def _sealed(self, tokens: _StoredTokens) -> bytes:
        text = json.dumps([tokens.access, tokens.refresh, tokens.access_ends])
        return seal(self._key, self._aad, text.encode())

    def _stored(self) -> _StoredTokens:
        sealed = self._folder.read(SESSION_FILE)
        if sealed is None:
            raise session_ended()
        try:
            return _StoredTokens(*json.loads(open_sealed(self._key, self._aad, sealed)))
        except SealBroken:
            if self._account_file() != self._account_file_at_start:
                raise key_replaced() from None
            raise self._folder.altered(SESSION_FILE) from None

    def _account_file(self) -> tuple[int, int] | None:
        """Return a value that changes whenever the account's file is replaced."""
        try:
            seen = (self._folder.path / ACCOUNT_FILE).stat()
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns


def _text_size(value: object) -> int:
    """Return the number of characters in a body: roughly the bytes that this device stores."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_text_size, value.values()))
    return sum(map(_text_size, value)) if isinstance(value, list) else 0


def key_replaced() -> Locked:
    """Return the error for a client whose account key was replaced."""
    return Locked("Another command replaced the account key: unlock this device again.")


def session_ended() -> SessionEnded:
    """Return the error for a device that has no session."""
    return SessionEnded("session-ended", 401, "This device is logged out: log in again.")
