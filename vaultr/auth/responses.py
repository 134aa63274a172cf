"""What is answered about accounts and sessions."""

from typing import Self

from pydantic import Field, RootModel

from vaultr.auth.queries import Owner
from vaultr.auth.session_list import Listed
from vaultr.settings.model import Settings
from vaultr.settings.types import Rate
from vaultr.wire.field_types import Bytes, Id, Out, Time


class KdfOut(Out):
    """The cost of deriving keys from a master password: `m` in KiB, `t` passes, `p` lanes."""

    alg: str
    m: int
    t: int
    p: int


class PreloginOut(Out):
    """Derivation inputs; for addresses without an account invented ones, the same for ever."""

    account_id: Id
    auth_scheme: str
    kdf: KdfOut
    salt: Bytes


class TokensOut(Out):
    """A session's tokens; the refresh token is good for one use."""

    access_token: str
    expires_in: int = Field(description="Seconds that the access token lives.")
    refresh_token: str


class CookiesOut(Out):
    """A session whose tokens went into cookies."""

    expires_in: int = Field(description="Seconds that the access token lives.")


class RefreshOut(RootModel[TokensOut | CookiesOut]):
    """A session's next tokens, here or in cookies."""


class AccountOut(Out):
    """An account."""

    id: Id
    email: str
    created_at: Time


class AccountKeyOut(Out):
    """The account key, sealed; `epoch` counts its wraps."""

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
    """What opens an account, all of it sealed by its owner's client."""

    account_key: AccountKeyOut
    identity: IdentityOut
    profile: ProfileOut


class LoginOut(TokensOut):
    """A new session, and what its client needs to open the account."""

    account: AccountOut
    key_set: KeySetOut


class CookieLoginOut(CookiesOut):
    """A new session of a browser, whose tokens are in cookies."""

    account: AccountOut
    key_set: KeySetOut


class LoginAnswer(RootModel[LoginOut | CookieLoginOut]):
    """A new session; with `cookies` its tokens are in cookies, and not here."""


class FactorOut(Out):
    """A second factor of the account, or (`recovery-codes`) what stands in for one."""

    kind: str
    created_at: Time
    left: int | None = Field(description="Recovery codes that were not used yet.")


class TotpOut(Out):
    """What an authenticator app needs, shown once; it counts when `/totp/confirm` was right."""

    secret: str = Field(description="Base32, without padding.")
    uri: str = Field(description="What a QR code holds: `otpauth://totp/…`.")


class RecoveryCodesOut(Out):
    """Codes that stand in for the second factor, each once. They are shown this once."""

    recovery_codes: list[str]


class RateOut(Out):
    """So many in so many seconds."""

    count: int
    seconds: int


class LimitsOut(Out):
    """What the account may hold and how often its sessions may ask; sizes are sealed bytes."""

    vaults: int
    items: int = Field(description="Of one vault, active and in the trash.")
    item_bytes: int = Field(description="Of one item, overview and detail together.")
    vault_bytes: int
    reads: RateOut
    writes: RateOut
    changes: RateOut = Field(description="Of one vault.")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Show what this server is set to."""
        return cls(
            vaults=settings.quota_vaults,
            items=settings.quota_items,
            item_bytes=settings.quota_item_bytes,
            vault_bytes=settings.quota_vault_bytes,
            reads=_rate(settings.limit_reads),
            writes=_rate(settings.limit_writes),
            changes=_rate(settings.limit_changes),
        )


class RecoveryKeyOut(Out):
    """That there is a recovery key, for the account key of which epoch, and since when."""

    epoch: int
    created_at: Time


class RunningOut(Out):
    """A recovery that is under way: `DELETE /api/v1/auth/recover` ends it."""

    started_at: Time
    ready_at: Time


class MeOut(Out):
    """The account that asks."""

    account: AccountOut
    factors: list[FactorOut]
    limits: LimitsOut
    key_set: KeySetOut
    recovery_key: RecoveryKeyOut | None
    recovery: RunningOut | None


class RevisionOut(Out):
    """The revision that is stored now."""

    revision: int


class SessionOut(Out):
    """A live session: its device, and as coarsely as it is kept where it was last used from."""

    id: Id
    device_name: str
    client: str = Field(description="A word for the client, such as `vaultr` or `browser`.")
    address: str = Field(description="The network of the login: a /24, or a /48.")
    created_at: Time
    last_used_at: Time = Field(description="At login or at the last refresh.")
    current: bool = Field(description="The one that asks.")

    @classmethod
    def of(cls, session: Listed, *, current: bool) -> Self:
        """Show a session to its owner."""
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
    """Show an account to its owner."""
    return AccountOut(id=owner.id, email=owner.email, created_at=owner.created_at)


def key_set_out(owner: Owner) -> KeySetOut:
    """Show a key set to its owner."""
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
