"""What a client pins of its account, and refuses to see changed by a server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto.primitives import sha256
from vaultr.client.errors import AnswerInvalid, PinMismatch, UnsafeParameters
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import HASH_BYTES
from vaultr.protocol.kdf import Kdf, UnsafeKdf, check_salt, kdf_of

AUTH_SCHEME: Final = "vp1"
_CHANGED: Final = (
    "If the master password was changed or recovered on another device: vaultr login --changed"
)


@dataclass(frozen=True, slots=True)
class Derivation:
    """The inputs that a password is used with, within the bounds compiled into this client."""

    account_id: UUID
    kdf: Kdf
    salt: bytes = field(repr=False)


def read_prelogin(answer: Json) -> Derivation:
    """Read what a server asks a password to be used with.

    :raises UnsafeParameters: it asks for another scheme, or is outside the bounds; the password
        must not be used.
    """
    fields = Fields(answer, "prelogin", AnswerInvalid)
    if fields.text("auth_scheme") != AUTH_SCHEME:
        raise UnsafeParameters(f"the server asks for another scheme than {AUTH_SCHEME}")
    salt = fields.binary("salt")
    try:
        check_salt(salt)
        kdf = kdf_of(fields.within("kdf").raw())
    except UnsafeKdf as error:
        raise UnsafeParameters(f"{error}; the password was not used") from None
    return Derivation(account_id=fields.uuid("account_id"), kdf=kdf, salt=salt)


@dataclass(frozen=True, slots=True)
class Pins:
    """What must stay as it was at signup, or at the first success.

    :ivar secret_key: whether the account has a secret key; never taken from a server.
    """

    account_id: UUID
    origin: str
    kdf: Kdf
    salt_sha256: bytes
    secret_key: bool

    @classmethod
    def of(cls, derivation: Derivation, *, origin: str, secret_key: bool) -> "Pins":
        """Pin what a signup or a first login used."""
        return cls(
            account_id=derivation.account_id,
            origin=origin,
            kdf=derivation.kdf,
            salt_sha256=sha256(derivation.salt),
            secret_key=secret_key,
        )

    def check(self, derivation: Derivation, *, origin: str, changed: bool = False) -> None:
        """Check what a server asks for, before the password is used.

        :param changed: the owner says that password or parameters were changed elsewhere: take
            another salt and cost once. Account and origin stay.
        :raises PinMismatch: it is not what is pinned.
        """
        self._check_place(derivation.account_id, origin)
        if changed:
            return
        if derivation.kdf != self.kdf:
            raise PinMismatch(
                f"the server asks for another cost than is pinned ({_text(derivation.kdf)}, "
                f"pinned is {_text(self.kdf)}); the password was not used. {_CHANGED}"
            )
        if not compare_digest(sha256(derivation.salt), self.salt_sha256):
            raise PinMismatch(
                "the server shows another salt than is pinned; the password was not used. "
                f"{_CHANGED}"
            )

    def fits(self, derivation: Derivation) -> bool:
        """Tell whether these are the pins of ``derivation``."""
        shown = Pins.of(derivation, origin=self.origin, secret_key=self.secret_key)
        return shown == self

    def check_same(self, others: "Pins") -> None:
        """Check that ``others`` (those of the profile) are these.

        :raises PinMismatch: they differ.
        """
        if others.account_id != self.account_id:
            raise PinMismatch(
                f"The profile is of another account ({self.account_id} and {others.account_id})."
            )
        if others.origin != self.origin:
            raise PinMismatch(
                f"The profile names another server ({self.origin} and {others.origin})."
            )
        if others.secret_key != self.secret_key:
            raise PinMismatch("whether the account has a secret key differs from the profile")
        if (others.kdf, others.salt_sha256) != (self.kdf, self.salt_sha256):
            raise PinMismatch("cost or salt differ from those in the profile")

    def _check_place(self, account_id: UUID, origin: str) -> None:
        if account_id != self.account_id:
            raise PinMismatch(
                f"the server shows account {account_id}, pinned is {self.account_id}; "
                "the password was not used. An account that was deleted looks so too; and one "
                "that has another mail address now, for which: vaultr login --email ADDRESS"
            )
        if origin != self.origin:
            raise PinMismatch(
                f"the server is {origin}, pinned is {self.origin}; the password was not used"
            )

    def to_json(self) -> dict[str, Any]:
        """Write them as the profile holds them."""
        return {
            "account_id": str(self.account_id),
            "origin": self.origin,
            "kdf": self.kdf.to_json(),
            "salt_sha256": b64(self.salt_sha256),
            "secret_key": self.secret_key,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Pins":
        """Read them back; unknown fields are for newer clients.

        :raises AnswerInvalid: they have another form.
        :raises UnsafeParameters: the cost is outside the bounds.
        """
        fields = Fields(value, "pins", AnswerInvalid)
        try:
            kdf = kdf_of(fields.within("kdf").raw())
        except UnsafeKdf as error:
            raise UnsafeParameters(str(error)) from None
        return cls(
            account_id=fields.uuid("account_id"),
            origin=fields.text("origin"),
            kdf=kdf,
            salt_sha256=fields.binary("salt_sha256", HASH_BYTES),
            secret_key=fields.flag("secret_key"),
        )


def _text(kdf: Kdf) -> str:
    return f"{kdf.alg} m={kdf.m} t={kdf.t} p={kdf.p}"
