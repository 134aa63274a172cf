"""Response schemas of accounts and sessions."""

from typing import Self

from pydantic import Field, RootModel

from vaultr.auth.queries import Owner
from vaultr.auth.session_list import SessionInfo
from vaultr.settings.model import Settings
from vaultr.settings.types import Rate
from vaultr.wire.field_types import Bytes, Id, Out, Time


class KdfOut(Out):
    """KDF parameters: `m` in KiB, `t` passes, `p` lanes."""

    alg: str
    m: int
    t: int
    p: int


class PreloginOut(Out):
    """Derivation inputs; for an address without an account, inputs of a stable decoy account."""

    account_id: Id
    auth_scheme: str
    kdf: KdfOut
    salt: Bytes


class TokensOut(Out):
    """The tokens of a session. The refresh token works once."""

    access_token: str
    expires_in: int = Field(description="Lifetime of the access token in seconds.")
    refresh_token: str


class CookiesOut(Out):
    """A session whose tokens are in cookies."""

    expires_in: int = Field(description="Lifetime of the access token in seconds.")


class RefreshOut(RootModel[TokensOut | CookiesOut]):
    """The next tokens of a session, here or in cookies."""


class AccountOut(Out):
    """An account."""

    id: Id
    email: str
    created_at: Time


class AccountKeyOut(Out):
    """The account key, sealed; `epoch` counts account keys."""

    epoch: int
    sealed: Bytes


class IdentityKeyOut(Out):
    """One identity key."""

    public: Bytes
    sealed: Bytes


class IdentityOut(Out):
    """Both identity keys."""

    x25519: IdentityKeyOut
    ed25519: IdentityKeyOut


class ProfileOut(Out):
    """The sealed profile."""

    revision: int
    sealed: Bytes


class KeySetOut(Out):
    """The sealed keys of an account, which only its owner's client can open."""

    account_key: AccountKeyOut
    identity: IdentityOut
    profile: ProfileOut


class LoginOut(TokensOut):
    """A new session, and the sealed keys that its client needs to open the account."""

    account: AccountOut
    key_set: KeySetOut


class CookieLoginOut(CookiesOut):
    """A new session of a browser, with its tokens in cookies."""

    account: AccountOut
    key_set: KeySetOut


class LoginAnswer(RootModel[LoginOut | CookieLoginOut]):
    """A new session; with `cookies` its tokens are in cookies, not in the body."""


class FactorOut(Out):
    """A second factor of the account, or its recovery codes (`recovery-codes`)."""

    kind: str
    created_at: Time
    left: int | None = Field(description="Unused recovery codes.")


class TotpOut(Out):
    """The secret of an authenticator app, shown once. `/totp/confirm` activates it."""

    secret: str = Field(description="Base32, without padding.")
    uri: str = Field(description="Content of the QR code: `otpauth://totp/…`.")


class RecoveryCodesOut(Out):
    """One-time replacements for the second factor. They are shown once."""

    recovery_codes: list[str]


class RateOut(Out):
    """A limit: `count` requests in `seconds`."""

    count: int
    seconds: int


class LimitsOut(Out):
    """Quotas and rate limits of the account; sizes are bytes of sealed values."""

    vaults: int
    items: int = Field(description="Per vault, active and in the trash.")
    item_bytes: int = Field(description="Per item, overview and detail together.")
    vault_bytes: int
    machines: int
    reads: RateOut
    writes: RateOut
    changes: RateOut = Field(description="Per vault.")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits of the settings."""
        return cls(
            vaults=settings.quota_vaults,
            items=settings.quota_items,
            item_bytes=settings.quota_item_bytes,
            vault_bytes=settings.quota_vault_bytes,
            machines=settings.quota_machines,
            reads=_rate(settings.limit_reads),
            writes=_rate(settings.limit_writes),
            changes=_rate(settings.limit_changes),
        )


class RecoveryKeyOut(Out):
    """The recovery key: the epoch of the account key that it opens, and when it was set."""

    epoch: int
    created_at: Time


class RunningOut(Out):
    """A running recovery; `DELETE /api/v1/auth/recover` ends it."""

    started_at: Time
    ready_at: Time


class MeOut(Out):
    """The account of the session."""

    account: AccountOut
    factors: list[FactorOut]
    limits: LimitsOut
    key_set: KeySetOut
    recovery_key: RecoveryKeyOut | None
    recovery: RunningOut | None


class RevisionOut(Out):
    """The stored revision."""

    revision: int


class SessionOut(Out):
    """A live session: its device, its client, and the network of its last use."""

    id: Id
    device_name: str
    client: str = Field(description="The kind of client, such as `vaultr` or `browser`.")
    address: str = Field(description="The network of the last use: a /24 or a /48.")
    created_at: Time
    last_used_at: Time = Field(description="At login or at the last refresh.")
    current: bool = Field(description="The session of this request.")

    @classmethod
    def of(cls, session: SessionInfo, *, current: bool) -> Self:
        """Return the response for a session."""
        return cls(
            id=session.id,
            device_name=session.device_name,
            client=session.family,
            address=session.network,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            current=current,
        )


class SessionsOut(Out):
    """A page of live sessions."""

    sessions: list[SessionOut]
    next_cursor: str | None


def account_out(owner: Owner) -> AccountOut:
    """Return the response for an account."""
    return AccountOut(id=owner.id, email=owner.email, created_at=owner.created_at)


def key_set_out(owner: Owner) -> KeySetOut:
    """Return the response for a key set."""
    return KeySetOut(
        account_key=AccountKeyOut(epoch=owner.epoch, sealed=owner.account_key),
        identity=IdentityOut(
            x25519=IdentityKeyOut(public=owner.x25519_public, sealed=owner.x25519_sealed),
            ed25519=IdentityKeyOut(public=owner.ed25519_public, sealed=owner.ed25519_sealed),
        ),
        profile=ProfileOut(revision=owner.profile_revision, sealed=owner.profile),
    )


def _rate(rate: Rate) -> RateOut:
    return RateOut(count=rate.count, seconds=rate.seconds)
