"""What each sealed thing is bound to: one function for each row of the protocol's table."""

from typing import Literal
from uuid import UUID

from vaultr.protocol.encoding import lp
from vaultr.protocol.kdf import Kdf, canonical

_WRAP = "vaultr/v1/wrap"

Part = Literal["overview", "detail"]
IdentityKind = Literal["x25519", "ed25519"]


def account_key(account_id: UUID, epoch: int, kdf: Kdf, salt: bytes) -> bytes:
    """Bind the account key, sealed under the key that the password gives."""
    return lp(_WRAP, "account-key", account_id, epoch, canonical(kdf), salt)


def identity(kind: IdentityKind, account_id: UUID, public: bytes, generation: int = 1) -> bytes:
    """Bind a private identity key to its public half."""
    return lp(_WRAP, kind, account_id, generation, public)


def vault_key(account_id: UUID, vault_id: UUID, generation: int) -> bytes:
    """Bind the two keys of one generation of a vault."""
    return lp(_WRAP, "vault-key", account_id, vault_id, generation)


def machine_kek(account_id: UUID, machine_id: UUID) -> bytes:
    """Bind the sealing key of a machine, kept for its owner."""
    return lp(_WRAP, "machine-kek", account_id, machine_id)


def machine_vault(machine_id: UUID, vault_id: UUID, generation: int) -> bytes:
    """Bind the keys and the head of a vault, wrapped for a machine."""
    return lp(_WRAP, "machine", machine_id, vault_id, generation)


def recovery(account_id: UUID, epoch: int) -> bytes:
    """Bind the account key, sealed under the recovery key."""
    return lp(_WRAP, "recovery", account_id, epoch)


def profile(account_id: UUID, revision: int) -> bytes:
    """Bind one revision of the profile."""
    return lp("vaultr/v1/profile", account_id, revision)


def vault_overview(vault_id: UUID, overview_revision: int, generation: int) -> bytes:
    """Bind a vault's own overview: revision 0 when it was made, n of its rename after."""
    return lp("vaultr/v1/vault", vault_id, overview_revision, generation)


def export_file(kdf: Kdf, salt: bytes) -> bytes:
    """Bind an export file that is sealed with a password of its own."""
    return lp("vaultr/v1/export", canonical(kdf), salt)


def item(
    vault_id: UUID, item_id: UUID, part: Part, type: str, content_revision: int, generation: int
) -> bytes:
    """Bind one part of an item to its place, its type and the put that brought it."""
    return lp("vaultr/v1/item", vault_id, item_id, part, type, content_revision, generation)
