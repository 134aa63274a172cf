"""The pins of an account: values that a server must not change."""

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
PROFILE_SHOWN: Final = "The profile that your devices share, as the server shows it,"
_CHANGED: Final = (
    "The server's settings for the master password have changed ({difference}): either you changed"
    " or recovered the password on another device, or this is another server. The password was not"
    " used. If you changed it: vaultr login --changed"
)


@dataclass(frozen=True, slots=True)
class Derivation:
    """The KDF parameters of an account, within the bounds compiled into this client."""

    account_id: UUID
    kdf: Kdf
    salt: bytes = field(repr=False)


def read_prelogin(answer: Json) -> Derivation:
    """Read the KDF parameters that a server sends before a login.

    :raises UnsafeParameters: another scheme, or outside the bounds; do not use the password.
    """
    fields = Fields(answer, "prelogin", AnswerInvalid)
    if fields.text("auth_scheme") != AUTH_SCHEME:
        raise UnsafeParameters(
            f"The server requires a way to log in that this client does not support (not "
            f"{AUTH_SCHEME}). The password was not used."
        )
    salt = fields.binary("salt")
    try:
        check_salt(salt)
        kdf = kdf_of(fields.within("kdf").raw())
    except UnsafeKdf as error:
        raise UnsafeParameters(
            f"The server's settings for the password are unsafe: {error}. "
            "The password was not used."
        ) from None
    return Derivation(account_id=fields.uuid("account_id"), kdf=kdf, salt=salt)


@dataclass(frozen=True, slots=True)
class Pins:
    """The values that stay the same since signup or the first login.

    :ivar secret_key: whether the account has a secret key; never taken from a server.
    """

    account_id: UUID
    origin: str
    kdf: Kdf
    salt_sha256: bytes
    secret_key: bool

    @classmethod
    def of(cls, derivation: Derivation, *, origin: str, secret_key: bool) -> "Pins":
        """Return the pins of a signup or a first login."""
        return cls(
            account_id=derivation.account_id,
            origin=origin,
            kdf=derivation.kdf,
            salt_sha256=sha256(derivation.salt),
            secret_key=secret_key,
        )

    def check(self, derivation: Derivation, *, origin: str, changed: bool = False) -> None:
        """Check a server's KDF parameters before the password is used.

        :param changed: whether the user says that the password was changed elsewhere. Then another
            salt and other KDF parameters are accepted once; account and origin must be the same.
        :raises PinMismatch: they differ from the pins.
        """
        self._check_account_and_origin(derivation.account_id, origin)
        if changed:
            return
        if derivation.kdf != self.kdf:
            shown = f"{_text(derivation.kdf)} instead of {_text(self.kdf)}"
            raise PinMismatch(_CHANGED.format(difference=shown))
        if not compare_digest(sha256(derivation.salt), self.salt_sha256):
            raise PinMismatch(_CHANGED.format(difference="another salt"))

    def fits(self, derivation: Derivation) -> bool:
        """Check whether these are the pins of ``derivation``."""
        found = Pins.of(derivation, origin=self.origin, secret_key=self.secret_key)
        return found == self

    def check_same(self, others: "Pins") -> None:
        """Check that the profile's pins ``others`` are the same.

        :raises PinMismatch: they differ.
        """
        if others.account_id != self.account_id:
            raise PinMismatch(
                f"{PROFILE_SHOWN} is of another account: {others.account_id} instead of "
                f"{self.account_id}."
            )
        if others.origin != self.origin:
            raise PinMismatch(
                f"{PROFILE_SHOWN} names another server: {others.origin} instead of {self.origin}."
            )
        if others.secret_key != self.secret_key:
            raise PinMismatch(
                f"{PROFILE_SHOWN} contradicts this device on whether the account has a secret key."
            )
        if (others.kdf, others.salt_sha256) != (self.kdf, self.salt_sha256):
            raise PinMismatch(
                f"{PROFILE_SHOWN} says that the key is derived from your password in another way "
                "than the server asked for."
            )

    def _check_account_and_origin(self, account_id: UUID, origin: str) -> None:
        if account_id != self.account_id:
            raise PinMismatch(
                f"The server shows account {account_id}, but this device belongs to account "
                f"{self.account_id}. The password was not used. This also happens if the account "
                "was deleted, or has another email address now: vaultr login --email ADDRESS"
            )
        if origin != self.origin:
            raise PinMismatch(
                f"The server is {origin}, but this device belongs to {self.origin}. "
                "The password was not used."
            )

    def to_json(self) -> dict[str, Any]:
        """Return them in the profile's form."""
        return {
            "account_id": str(self.account_id),
            "origin": self.origin,
            "kdf": self.kdf.to_json(),
            "salt_sha256": b64(self.salt_sha256),
            "secret_key": self.secret_key,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Pins":
        """Read the result of :meth:`to_json`; unknown fields belong to newer clients.

        :raises AnswerInvalid: they have another form.
        :raises UnsafeParameters: the KDF parameters are outside the bounds.
        """
        fields = Fields(value, "pins", AnswerInvalid)
        try:
            kdf = kdf_of(fields.within("kdf").raw())
        except UnsafeKdf as error:
            raise UnsafeParameters(f"{PROFILE_SHOWN} has unsafe values: {error}.") from None
        return cls(
            account_id=fields.uuid("account_id"),
            origin=fields.text("origin"),
            kdf=kdf,
            salt_sha256=fields.binary("salt_sha256", HASH_BYTES),
            secret_key=fields.flag("secret_key"),
        )


def _text(kdf: Kdf) -> str:
    return f"{kdf.alg} m={kdf.m} t={kdf.t} p={kdf.p}"
