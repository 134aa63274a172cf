"""Tables of accounts: signups, accounts, key sets, devices, sessions, failures, factors."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


def _of_account() -> Mapped[UUID]:
    return mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)


class _Derivation:
    """The inputs of the client's key derivation, and the verifier of the derived auth key."""

    auth_scheme: Mapped[str]
    kdf: Mapped[str] = mapped_column(comment="Canonical JSON, as the account key's seal binds it.")
    salt: Mapped[bytes]
    verifier: Mapped[str] = mapped_column(comment="Argon2id of the peppered auth key, as PHC text.")
    pepper_id: Mapped[str]


class _SealedKeys:
    """Sealed keys that only the owner's client can open, and the public keys."""

    account_key: Mapped[bytes]
    x25519_public: Mapped[bytes]
    x25519_sealed: Mapped[bytes]
    ed25519_public: Mapped[bytes]
    ed25519_sealed: Mapped[bytes]
    profile: Mapped[bytes]


class WaitingSignup(_Derivation, _SealedKeys, Base):
    """A signup whose email is not confirmed yet. It is not an account, so nobody can log in."""

    __tablename__ = "waiting_signups"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(index=True, comment="Normalised. Several may wait for one.")
    token_hash: Mapped[bytes] = mapped_column(unique=True, comment="SHA-256 of the mailed token.")
    account_id: Mapped[UUID] = mapped_column(comment="As the client drew it; not yet taken.")
    recovery_verifier: Mapped[bytes | None]
    recovery_sealed: Mapped[bytes | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Account(_Derivation, Base):
    """An owner of vaults. ``epoch`` counts account keys; tokens with an older epoch are invalid.

    The row is narrow, because the session check of each request reads it.
    """

    __tablename__ = "accounts"
    __table_args__ = (sa.CheckConstraint("epoch >= 1", name="epoch_positive"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True, comment="Normalised; compared as it stands.")
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    audit_event_id: Mapped[UUID]


class KeySet(_SealedKeys, Base):
    """The sealed keys of an account, and its sealed profile."""

    __tablename__ = "key_sets"
    __table_args__ = (sa.CheckConstraint("profile_revision >= 1", name="revision_positive"),)

    account_id: Mapped[UUID] = _of_account()
    profile_revision: Mapped[int]
    audit_event_id: Mapped[UUID] = mapped_column(comment="Of the last change.")


class RecoveryKey(Base):
    """The account key, sealed under a printable key that the owner stores."""

    __tablename__ = "recovery_keys"

    account_id: Mapped[UUID] = _of_account()
    verifier: Mapped[bytes] = mapped_column(comment="SHA-256 of the key that proves it.")
    sealed: Mapped[bytes]
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    audit_event_id: Mapped[UUID]


class KnownDevice(Base):
    """A device that has logged in before. Failed logins of other devices do not lock it out."""

    __tablename__ = "known_devices"

    account_id: Mapped[UUID] = _of_account()
    device_hash: Mapped[bytes] = mapped_column(
        primary_key=True, comment="Of account and device id; the id itself is never kept."
    )
    first_used_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


class Session(Base):
    """A session of a device. Deleting the row ends the session on every worker immediately."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    device_hash: Mapped[bytes]
    device_name: Mapped[str]
    family: Mapped[str] = mapped_column(comment="A word for the client, such as vaultr.")
    network: Mapped[str] = mapped_column(comment="Its address, cut to /24 or /48.")
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime] = mapped_column(comment="At login or the last refresh.")
    proven_at: Mapped[datetime] = mapped_column(comment="When the password was proven last.")
    # No index: the column changes at each refresh, which would then update all indexes.
    idle_until: Mapped[datetime] = mapped_column(
        comment="It lives until then; never later than expires_at."
    )
    expires_at: Mapped[datetime]
    audit_event_id: Mapped[UUID]
    refresh_slot: Mapped[int] = mapped_column(
        server_default="0", comment="The slot of time in which it was refreshed last."
    )
    refreshes: Mapped[int] = mapped_column(server_default="0", comment="In that slot.")
    refreshes_before: Mapped[int] = mapped_column(server_default="0", comment="In the one before.")


class RefreshToken(Base):
    """A refresh token of a session. It stays stored after its rotation, to detect its reuse.

    Its successor is HMAC-SHA-256(token, ``nonce``). So a client that repeats the token gets the
    same successor, which cannot be computed from this table alone.
    """

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True, comment="SHA-256 of the token.")
    session_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("sessions.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
    nonce: Mapped[bytes | None] = mapped_column(comment="Drawn when it was rotated.")
    rotated_at: Mapped[datetime | None]
    signed_by: Mapped[str | None] = mapped_column(
        comment="The JWT_SECRET of the access token beside it."
    )


class Failures(Base):
    """Failed attempts of a counter. Addresses without an account have counters too."""

    __tablename__ = "login_failures"
    __table_args__ = (sa.CheckConstraint("failures >= 0 AND locks >= 0", name="counts_from_zero"),)

    counter: Mapped[str] = mapped_column(primary_key=True, comment="Its key; a keyed hash.")
    failures: Mapped[int] = mapped_column(comment="In a row, since the last success or lock.")
    locks: Mapped[int] = mapped_column(comment="In a row; each doubles the next one's length.")
    locked_until: Mapped[datetime | None]
    failed_at: Mapped[datetime] = mapped_column(index=True)
    recent: Mapped[str] = mapped_column(
        server_default="",
        comment="Stamps of the attempts that still count, newest first; at most the limit.",
    )


class Factor(Base):
    """A second factor of an account. It is required once its first code was confirmed."""

    __tablename__ = "factors"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[str] = mapped_column(comment="What it is; `totp` is RFC 6238.")
    sealed: Mapped[bytes] = mapped_column(comment="Its secret, sealed.")
    key_id: Mapped[str] = mapped_column(index=True, comment="The FACTOR_KEY it is under.")
    last_step: Mapped[int] = mapped_column(comment="Of the last code used.")
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None] = mapped_column(
        comment="Until then nobody is asked for it."
    )
    audit_event_id: Mapped[UUID | None]


class RecoveryCode(Base):
    """A one-time replacement for a second factor; use deletes it."""

    __tablename__ = "recovery_codes"

    account_id: Mapped[UUID] = _of_account()
    code_hash: Mapped[bytes] = mapped_column(
        primary_key=True, comment="SHA-256 of account and code."
    )
    created_at: Mapped[datetime]


class Recovery(Base):
    """An emailed token for account recovery: requested, then started, then deleted.

    A request for an address that cannot be recovered also stores a row, without an account and
    already expired, so that both requests do the same work.
    """

    __tablename__ = "recoveries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID | None] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[bytes] = mapped_column(unique=True, comment="SHA-256 of the mailed token.")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None] = mapped_column(
        comment="When the recovery key was proven first: the wait counts from here."
    )


class EmailChange(Base):
    """A change of address that waits for both confirmations. An account has at most one."""

    __tablename__ = "email_changes"

    account_id: Mapped[UUID] = _of_account()
    email: Mapped[str] = mapped_column(comment="The new one, normalised.")
    old_token_hash: Mapped[bytes | None] = mapped_column(
        unique=True, comment="SHA-256 of the token mailed to the old address; null once used."
    )
    new_token_hash: Mapped[bytes | None] = mapped_column(
        unique=True, comment="SHA-256 of the token mailed to the new address; null once used."
    )
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class EmailUndo(Base):
    """A former address of an account, reserved for it while the change can be undone."""

    __tablename__ = "email_undos"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    email: Mapped[str] = mapped_column(index=True, comment="The old one, normalised.")
    token_hash: Mapped[bytes] = mapped_column(unique=True, comment="SHA-256 of the mailed token.")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
