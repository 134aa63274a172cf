"""What crosses the wire about accounts and sessions."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from vaultr.auth import email_addresses
from vaultr.protocol.encoding import unb64
from vaultr.protocol.kdf import Kdf
from vaultr.protocol.sizes import DEVICE_NAME_CHARACTERS, EMAIL_CHARACTERS
from vaultr.wire.field_types import Bytes, Bytes32, Id, In, Int


def _email(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a mail address")
    return email_addresses.normalised(value)


Email = Annotated[
    str,
    PlainValidator(_email),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 3,
            "maxLength": EMAIL_CHARACTERS,
            "pattern": email_addresses.PATTERN,
        }
    ),
]


def _sealed(most: int) -> PlainValidator:
    def read(value: object) -> bytes:
        if not isinstance(value, str):
            raise ValueError("a sealed value, as base64url without padding")
        try:
            data = unb64(value)
        except ValueError:
            return b""  # whatever text it is, it is no ciphertext: refused as an empty one is
        if len(data) > most:
            raise ValueError(f"a sealed value of at most {most} bytes")
        return data

    return PlainValidator(read)


def _text_of(most: int) -> WithJsonSchema:
    longest = (most * 8 + 5) // 6
    return WithJsonSchema({"type": "string", "contentEncoding": "base64url", "maxLength": longest})


# Any text is taken here; what cannot be ciphertext is refused by the rule, not by the schema.
# A key, padded and sealed, has 145 bytes; the room above is for later suites.
SealedKey = Annotated[bytes, _sealed(1024), _text_of(1024)]
SealedProfile = Annotated[bytes, _sealed(262_144), _text_of(262_144)]


def _first(value: object) -> int:
    if value != 1 or isinstance(value, bool):
        raise ValueError("1, because it is the first")
    return 1


First = Annotated[
    int, PlainValidator(_first), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1})
]
TotpCode = Annotated[str, Field(min_length=6, max_length=6, pattern="^[0-9]{6}$")]
RecoveryCodeText = Annotated[str, Field(min_length=1, max_length=64)]


class KdfIn(In):
    """The cost of deriving keys from a master password; bounds are a rule (`kdf-refused`)."""

    alg: Annotated[str, Field(max_length=32)]
    m: Int
    t: Int
    p: Int

    def kdf(self) -> Kdf:
        """Give the cost."""
        return Kdf(alg=self.alg, m=self.m, t=self.t, p=self.p)


class PreloginIn(In):
    """Whose derivation inputs are asked for."""

    email: Email


class FirstAccountKey(In):
    """The account key, sealed by the client."""

    epoch: First
    sealed: SealedKey


class IdentityKeyIn(In):
    """One identity key: its public half, and the private one sealed."""

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
    """The account key sealed for recovery; `verifier` is the SHA-256 of the key that proves it."""

    verifier: Bytes32
    sealed: SealedKey
    epoch: First


class SignupIn(In):
    """A new account, all of whose secrets its client has sealed."""

    account_id: Id
    email: Email
    auth_scheme: Literal["vp1"]
    auth_key: Bytes32
    kdf: KdfIn
    salt: Bytes
    account_key: FirstAccountKey
    identity: IdentityIn
    profile: FirstProfile
    recovery_key: FirstRecoveryKey | None = None


class EmailIn(In):
    """An address."""

    email: Email


class ResendIn(In):
    """Which waiting signup is to be mailed a new token."""

    email: Email
    account_id: Id


class TokenIn(In):
    """A token from a letter."""

    token: str


class DeviceIn(In):
    """The device that signs in: an id of its own making, and a name for its owner."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=DEVICE_NAME_CHARACTERS)]


class ProofIn(In):
    """A proof of the password. A second factor is asked for only where the account has one."""

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
    """The first code of an authenticator app, which shows that it holds the secret."""

    code: TotpCode


class LoginIn(ProofIn):
    """Who signs in, by which key, and on which device."""

    email: Email
    device: DeviceIn
    cookies: bool = Field(
        default=False, description="For browsers: the tokens come as cookies, not in the answer."
    )


class RefreshIn(In):
    """The refresh token to replace; a browser, whose token is a cookie, sends an empty object."""

    refresh_token: str | None = None


class ProfileIn(In):
    """The sealed profile, one revision on."""

    revision: Int
    sealed: SealedProfile
