"""The sessions and second factors of an account, as listed by the server, with checks."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from vaultr.client.errors import AnswerInvalid
from vaultr.client.strict_json import Fields
from vaultr.client.transport.account_session import Session
from vaultr.client.transport.http_transport import Answer
from vaultr.client.vaults.vault_list import ask_pages

_SECRET: Final = re.compile(r"[A-Z2-7]{16,128}")
_URI: Final = re.compile(r"otpauth://totp/[!-~]{1,1000}")
_CODE: Final = re.compile(r"[0-9a-z-]{6,64}")
_TEXT_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One live session of the account.

    :ivar current: whether it is this device's session.
    """

    id: UUID
    device: str
    client: str
    address: str
    created_at: datetime
    last_used_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class FactorInfo:
    """One second factor.

    :ivar left: the number of unused recovery codes; None for an authenticator app.
    """

    kind: str
    created_at: datetime
    left: int | None


@dataclass(frozen=True, slots=True)
class Protection:
    """How an account is protected besides its password, according to the server."""

    factors: list[FactorInfo]
    has_recovery_key: bool
    recovery_is_running: bool


@dataclass(frozen=True, slots=True)
class TotpBegun:
    """The secret and URI for an authenticator app, shown only once."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


def list_sessions(session: Session) -> list[SessionInfo]:
    """List the sessions, newest first."""
    listed = [*ask_pages(session, "/auth/sessions", "sessions")]
    return [_session(Fields(each, "session", AnswerInvalid)) for each in listed]


def _session(fields: Fields) -> SessionInfo:
    return SessionInfo(
        id=fields.uuid("id"),
        device=fields.text("device_name", most=_TEXT_MOST),
        client=fields.text("client", most=_TEXT_MOST),
        address=fields.text("address", most=_TEXT_MOST),
        created_at=fields.time("created_at"),
        last_used_at=fields.time("last_used_at"),
        current=fields.flag("current"),
    )


def list_factors(session: Session) -> list[FactorInfo]:
    """List the second factors."""
    return read_protection(session.send("GET", "/auth/me")).factors


def read_protection(answer: Answer) -> Protection:
    """Read how the account is protected, from the response of ``GET /auth/me``."""
    me = Fields(answer.body, "me", AnswerInvalid)
    factors = [
        FactorInfo(
            kind=each.text("kind", most=_TEXT_MOST),
            created_at=each.time("created_at"),
            left=None if each.raw().get("left") is None else each.count("left"),
        )
        for each in me.objects("factors")
    ]
    return Protection(
        factors=factors,
        has_recovery_key=me.raw().get("recovery_key") is not None,
        recovery_is_running=me.raw().get("recovery") is not None,
    )


def read_totp(answer: Answer) -> TotpBegun:
    """Read the secret and the URI for a new authenticator app.

    The URI is checked, because another program reads it from a QR code and acts on it.

    :raises AnswerInvalid: the secret is invalid, or the URI is for something else.
    """
    fields = Fields(answer.body, "totp", AnswerInvalid)
    secret, uri = fields.text("secret", most=200), fields.text("uri", most=2000)
    if not _SECRET.fullmatch(secret) or not _URI.fullmatch(uri) or f"secret={secret}" not in uri:
        raise AnswerInvalid("totp is not a secret with its otpauth URI")
    return TotpBegun(secret, uri)


def read_recovery_codes(answer: Answer) -> list[str]:
    """Read new recovery codes."""
    fields = Fields(answer.body, "recovery codes", AnswerInvalid)
    codes = fields.raw().get("recovery_codes")
    if not isinstance(codes, list) or not codes:
        raise AnswerInvalid("recovery codes are not a list of strings")
    for code in codes:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise AnswerInvalid("a recovery code is not letters, digits and dashes")
    return [str(code) for code in codes]
