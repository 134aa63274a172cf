"""Checked values from responses: tokens, key set, account id, session id, the server's clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

from vaultr.client.errors import AnswerInvalid
from vaultr.client.storage.key_set import KeySet
from vaultr.client.strict_json import Fields, read_object
from vaultr.client.transport.http_transport import Answer
from vaultr.protocol.encoding import unb64

_JWT_PARTS = 3


def fields_of(answer: Answer, where: str) -> Fields:
    """Return the fields of a response's object, for reading them with checks."""
    return Fields(answer.body, where, AnswerInvalid)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session; ``refresh`` changes with every use."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_seconds: int

    @classmethod
    def read(cls, fields: Fields) -> "Tokens":
        """Read them from the response to a login or a refresh."""
        return cls(
            access=fields.token("access_token", most=4096),
            refresh=fields.token("refresh_token", most=512),
            access_seconds=fields.count("expires_in"),
        )


@dataclass(frozen=True, slots=True)
class LoginResponse:
    """The response to a login."""

    account_id: UUID
    tokens: Tokens
    key_set: KeySet


def read_login(answer: Answer) -> LoginResponse:
    """Read the response to a login."""
    fields = fields_of(answer, "login")
    return LoginResponse(
        account_id=fields.within("account").uuid("id"),
        tokens=Tokens.read(fields),
        key_set=KeySet.read(fields.within("key_set")),
    )


def key_set_of(answer: Answer) -> tuple[UUID, KeySet]:
    """Read the account id and the key set in the response to ``/auth/me``."""
    fields = fields_of(answer, "me")
    return fields.within("account").uuid("id"), KeySet.read(fields.within("key_set"))


def session_of(token: str, account_id: UUID) -> UUID | None:
    """Return the session id in an account's access token; None if it has none.

    The signature is not checked, because that requires the server's key. The server could write any
    id into the token, so use it only for what the server could do anyway.

    Source: RFC 7519, section 3.
    """
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        claims = Fields(read_object(unb64(parts[1])), "token", ValueError)
        owner, session_id = claims.uuid("sub"), claims.uuid("sid")
    except ValueError:
        return None
    return session_id if owner == account_id else None


def time_of(date: str | None) -> datetime | None:
    """Parse an HTTP ``Date`` header as a time in UTC; None if it is missing or invalid."""
    try:
        parsed = parsedate_to_datetime(date or "")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
