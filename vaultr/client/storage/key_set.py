"""An account's sealed key set and sealed profile."""

from dataclasses import dataclass, field
from typing import Final

from vaultr.client.crypto import aad
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.encoding import b64

_IDENTITY_KINDS: Final[tuple[aad.IdentityKind, ...]] = ("x25519", "ed25519")


@dataclass(frozen=True, slots=True)
class SealedProfile:
    """One revision of the profile, as the server stores it."""

    revision: int
    sealed: bytes = field(repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "SealedProfile":
        """Read ``revision`` and ``sealed``."""
        return cls(revision=fields.count("revision", least=1), sealed=fields.binary("sealed"))

    def to_json(self) -> Json:
        """Return it in the API's form."""
        return {"revision": self.revision, "sealed": b64(self.sealed)}


@dataclass(frozen=True, slots=True)
class KeySet:
    """The sealed keys with which an account opens its vaults."""

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
        """Return it in the API's form."""
        return {
            "account_key": {"epoch": self.epoch, "sealed": b64(self.account_key)},
            "identity": {
                kind: {"public": b64(public), "sealed": b64(sealed)}
                for kind, (public, sealed) in self.identity.items()
            },
            "profile": self.profile.to_json(),
        }
