"""The archive of an account, as docs/vaultr-archive.schema.json describes it."""

from typing import Literal

from pydantic import Field

from vaultr.wire.field_types import Bytes, Bytes32, Id, Int, Out, Time


class ArchivedKdf(Out):
    """KDF parameters: `m` in KiB, `t` passes, `p` lanes."""

    alg: str
    m: Int
    t: Int
    p: Int


class ArchivedFactor(Out):
    """A second factor; its secret is not part of the archive."""

    kind: str
    created_at: Time


class ArchivedRecoveryKey(Out):
    """The account key, sealed for recovery."""

    epoch: Int
    sealed: Bytes
    created_at: Time


class ArchivedAccount(Out):
    """An account, with all inputs from which its client derives the keys."""

    id: Id
    email: str
    created_at: Time
    auth_scheme: str
    kdf: ArchivedKdf
    salt: Bytes
    factors: list[ArchivedFactor]
    recovery_key: ArchivedRecoveryKey | None


class ArchivedAccountKey(Out):
    """The account key, sealed; `epoch` counts account keys."""

    epoch: Int
    sealed: Bytes


class ArchivedIdentityKey(Out):
    """One identity key."""

    public: Bytes
    sealed: Bytes


class ArchivedIdentity(Out):
    """Both identity keys."""

    x25519: ArchivedIdentityKey
    ed25519: ArchivedIdentityKey


class ArchivedProfile(Out):
    """The sealed profile."""

    revision: Int
    sealed: Bytes


class ArchivedKeySet(Out):
    """The sealed keys of an account, which only its owner's client can open."""

    account_key: ArchivedAccountKey
    identity: ArchivedIdentity
    profile: ArchivedProfile


class ArchivedSession(Out):
    """A live session."""

    id: Id
    device_name: str
    client: str
    address: str = Field(description="The network of the last use: a /24 or a /48.")
    created_at: Time
    last_used_at: Time
    expires_at: Time


class ArchivedWrap(Out):
    """The keys of one generation of a vault, sealed."""

    generation: Int
    sealed_key: Bytes


class ArchivedGrant(Out):
    """A vault that a machine may open, and its keys for the machine."""

    vault_id: Id
    rights: Literal["read", "write"]
    keys: list[ArchivedWrap]


class ArchivedMachine(Out):
    """A machine of the account."""

    id: Id
    name: str
    revision: Int
    created_at: Time
    expires_at: Time
    networks: list[str]
    last_used_at: Time | None
    sealed_kek: Bytes
    vaults: list[ArchivedGrant]


class ArchivedItem(Out):
    """An item with its current content."""

    id: Id
    type: str
    state: Literal["active", "trash"]
    revision: Int
    content_revision: Int
    generation: Int
    size: Int
    created_at: Time
    updated_at: Time
    overview: Bytes
    detail: Bytes


class ArchivedVersion(Out):
    """An earlier content of an item; the current one is in the item."""

    item_id: Id
    revision: Int
    type: str
    generation: Int
    size: Int
    created_at: Time
    overview: Bytes
    detail: Bytes


class ArchivedEntry(Out):
    """One entry of a vault's log."""

    n: Int
    prev: Bytes32
    op: str
    item_id: Id | None
    content_revision: Int
    content: Bytes32
    generation: Int
    author_id: Id
    vouch: Bytes32
    mac: Bytes32
    head: Bytes32


class ArchivedCounts(Out):
    """The numbers of active items and of items in the trash."""

    active: Int
    trash: Int


class ArchivedVault(Out):
    """A vault with everything in it. Entries with the op `remove` name the removed items."""

    id: Id
    keys: list[ArchivedWrap]
    overview: Bytes
    overview_revision: Int
    overview_generation: Int
    generation: Int
    rotating: bool
    revision: Int
    head: Bytes32
    counts: ArchivedCounts
    bytes: Int
    created_at: Time
    items: list[ArchivedItem]
    versions: list[ArchivedVersion]
    entries: list[ArchivedEntry]


class ArchivedEvent(Out):
    """One audit event; `body` is exactly what was hashed. `/audit/export` has the proofs."""

    id: Id
    body: str
    prev: Bytes32
    mac: Bytes32


class ArchiveDocument(Out):
    """Everything that the server stores about an account, still sealed."""

    format: Literal["vaultr-export/1"]
    account: ArchivedAccount
    key_set: ArchivedKeySet
    sessions: list[ArchivedSession]
    machines: list[ArchivedMachine]
    vaults: list[ArchivedVault]
    audit: list[ArchivedEvent]
