"""What the routes of the account answer, checked field by field: tokens, and the key set."""

from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.errors import AnswerInvalid
from vaultr.client.storage.key_set import KeySet
from vaultr.client.strict_json import Fields
from vaultr.client.transport.http_transport import Answer


def fields_of(answer: Answer, where: str) -> Fields:
    """Give the checked reader of an answer's object."""
    return Fields(answer.body, where, AnswerInvalid)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a session is proved with; ``refresh`` changes at every use."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_seconds: int

    @classmethod
    def read(cls, fields: Fields) -> "Tokens":
        """Read them from an answer to login or refresh."""
        return cls(
            access=fields.token("access_token", most=4096),
            refresh=fields.token("refresh_token", most=512),
            access_seconds=fields.count("expires_in"),
        )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What login answers."""

    account_id: UUID
    tokens: Tokens
    key_set: KeySet


def signed_in(answer: Answer) -> SignedIn:
    """Read the answer to login."""
    fields = fields_of(answer, "login")
    return SignedIn(
        account_id=fields.within("account").uuid("id"),
        tokens=Tokens.read(fields),
        key_set=KeySet.read(fields.within("key_set")),
    )


def key_set_of(answer: Answer) -> tuple[UUID, KeySet]:
    """Read the account id and the key set that ``/auth/me`` answers."""
    fields = fields_of(answer, "me")
    return fields.within("account").uuid("id"), KeySet.read(fields.within("key_set"))
