"""What the account's routes answer: tokens and the key set, checked field by field."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vaultr.client import aad
from vaultr.client.errors import AnswerInvalid
from vaultr.client.strict import Fields, Json
from vaultr.client.transport import Answer
from vaultr.protocol.encoding import b64

_IDENTITY_KINDS: Final[tuple[aad.IdentityKind, ...]] = ("x25519", "ed25519")


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
class SealedProfile:
    """One revision of the profile, as the server keeps it."""

    revision: int
    sealed: bytes = field(repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "SealedProfile":
        """Read ``revision`` and ``sealed``."""
        return cls(revision=fields.count("revision", least=1), sealed=fields.binary("sealed"))

    def to_json(self) -> Json:
        """Show it as it crosses the wire."""
        return {"revision": self.revision, "sealed": b64(self.sealed)}


@dataclass(frozen=True, slots=True)
class KeySet:
    """What the account needs to open its vaults, all of it sealed."""

    epoch: int
    account_key: bytes = field(repr=False)
    identity: dict[aad.IdentityKind, tuple[bytes, bytes]] = field(repr=False)
    profile: SealedProfile

    @classmethod
    def read(cls, fields: Fields) -> "KeySet":
        """Read ``account_key``, ``identity`` and ``profile``."""
        account_key = fields.within("account_key")
        identity = fields.within("identity")
        pairs = {kind: identity.within(kind) for kind in _IDENTITY_KINDS}
        return cls(
            epoch=account_key.count("epoch", least=1),
            account_key=account_key.binary("sealed"),
            identity={
                kind: (pair.binary("public", 32), pair.binary("sealed"))
                for kind, pair in pairs.items()
            },
            profile=SealedProfile.read(fields.within("profile")),
        )

    def to_json(self) -> Json:
        """Show it as it crosses the wire."""
        return {
            "account_key": {"epoch": self.epoch, "sealed": b64(self.account_key)},
            "identity": {
                kind: {"public": b64(public), "sealed": b64(sealed)}
                for kind, (public, sealed) in self.identity.items()
            },
            "profile": self.profile.to_json(),
        }


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
