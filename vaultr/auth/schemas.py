"""Request schemas of accounts and sessions."""

from collections.abc import Callable
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from vaultr.auth import email_addresses
from vaultr.protocol.kdf import Kdf
from vaultr.protocol.sizes import DEVICE_NAME_CHARACTERS, EMAIL_CHARACTERS
from vaultr.wire.field_types import Bytes, Bytes32, Id, In, Int, SealedKey, sealed_value


def _email(read: Callable[[str], str]) -> PlainValidator:
    def validate(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("an email address")
        return read(value)

    return PlainValidator(validate)


_EMAIL_SCHEMA: Final = WithJsonSchema(
    {
        "type": "string",
        "minLength": 3,
        "maxLength": EMAIL_CHARACTERS,
        "pattern": email_addresses.PATTERN,
    }
)
EmailAddress = Annotated[str, _email(email_addresses.normalise), _EMAIL_SCHEMA]
# An address that receives an email: rejected if no mail server would accept it.
DeliverableAddress = Annotated[str, _email(email_addresses.deliverable), _EMAIL_SCHEMA]


SealedProfile = Annotated[bytes, *sealed_value(262_144)]


def _first(value: object) -> int:
    if value != 1 or isinstance(value, bool):
        raise ValueError("must be 1, the first")
    return 1


First = Annotated[
    int, PlainValidator(_first), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1})
]
TotpCode = Annotated[str, Field(min_length=6, max_length=6, pattern="^[0-9]{6}$")]
RecoveryCodeText = Annotated[str, Field(min_length=1, max_length=64)]


class KdfIn(In):
    """KDF parameters; values out of bounds are rejected with `kdf-refused`."""

    alg: Annotated[str, Field(max_length=32)]
    m: Int
    t: Int
    p: Int

    def kdf(self) -> Kdf:
        """Return the KDF parameters as a value."""
        return Kdf(alg=self.alg, m=self.m, t=self.t, p=self.p)


class PreloginIn(In):
    """The address whose derivation inputs are requested."""

    email: EmailAddress


class FirstAccountKey(In):
    """The account key, sealed by the client."""

    epoch: First
    sealed: SealedKey


class IdentityKeyIn(In):
    """One identity key: the public key, and the sealed private key."""

    public: Bytes32
    sealed: SealedKey


class IdentityIn(In):
    """Both identity keys."""

    x25519: IdentityKeyIn
    ed25519: IdentityKeyIn


class FirstProfile(In):
    """The sealed profile."""

    revision: First
    sealed: SealedProfile


class FirstRecoveryKey(In):
    """The account key, sealed for recovery; `verifier` is the SHA-256 of the later `rk_auth`."""

    verifier: Bytes32
    sealed: SealedKey
    epoch: First


class SignupIn(In):
    """A new account; its client has sealed all secrets."""

    account_id: Id
    email: DeliverableAddress
    auth_scheme: Literal["vp1"]
    auth_key: Bytes32
    kdf: KdfIn
    salt: Bytes
    account_key: FirstAccountKey
    identity: IdentityIn
    profile: FirstProfile
    recovery_key: FirstRecoveryKey | None = None


class EmailIn(In):
    """An email address."""

    email: DeliverableAddress


class ResendIn(In):
    """The waiting signup that needs a new token."""

    email: DeliverableAddress
    account_id: Id


class TokenIn(In):
    """A token from an email."""

    token: str


class DeviceIn(In):
    """The device that logs in: an id that it chose, and a name for its owner."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=DEVICE_NAME_CHARACTERS)]


class ProofIn(In):
    """A proof of the password. A second factor is needed only if the account has one."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["totp", "recovery_code"]}})

    auth_key: Bytes32
    totp: TotpCode | None = None
    recovery_code: RecoveryCodeText | None = None

    @model_validator(mode="after")
    def _one_factor(self) -> Self:
        if self.totp is not None and self.recovery_code is not None:
            raise ValueError("send totp or recovery_code, not both")
        return self


class TotpIn(In):
    """The first code of an authenticator app, which shows that it has the secret."""

    code: TotpCode


class LoginIn(ProofIn):
    """The address, the auth key and the device of a login."""

    email: EmailAddress
    device: DeviceIn
    cookies: bool = Field(
        default=False, description="For browsers: return the tokens as cookies, not in the body."
    )


class RefreshIn(In):
    """The refresh token to replace. A browser sends an empty object; its token is in a cookie."""

    refresh_token: str | None = None


class ProfileIn(In):
    """The next revision of the sealed profile."""

    revision: Int
    sealed: SealedProfile
