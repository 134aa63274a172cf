"""The associated data (AAD) of each sealed value: one function for each row of the protocol."""

from typing import Literal
from uuid import UUID

from vaultr.protocol.encoding import lp
from vaultr.protocol.kdf import Kdf, canonical

_WRAP = "vaultr/v1/wrap"

Part = Literal["overview", "detail"]
IdentityKind = Literal["x25519", "ed25519"]


def account_key(account_id: UUID, epoch: int, kdf: Kdf, salt: bytes) -> bytes:
    """Return the AAD of the account key, sealed under the key derived from the password."""
    return lp(_WRAP, "account-key", account_id, epoch, canonical(kdf), salt)


def identity(kind: IdentityKind, account_id: UUID, public: bytes, generation: int = 1) -> bytes:
    """Return the AAD of a private identity key, which names its public half."""
    return lp(_WRAP, kind, account_id, generation, public)


def vault_key(account_id: UUID, vault_id: UUID, generation: int) -> bytes:
    """Return the AAD of the two keys of one generation of a vault."""
    return lp(_WRAP, "vault-key", account_id, vault_id, generation)


def machine_kek(account_id: UUID, machine_id: UUID) -> bytes:
    """Return the AAD of a machine's key, as its owner stores it."""
    return lp(_WRAP, "machine-kek", account_id, machine_id)


def machine_vault(machine_id: UUID, vault_id: UUID, generation: int) -> bytes:
    """Return the AAD of a vault's keys and head, wrapped for a machine."""
    return lp(_WRAP, "machine", machine_id, vault_id, generation)


def recovery(account_id: UUID, epoch: int) -> bytes:
    """Return the AAD of the account key, sealed under the recovery key."""
    return lp(_WRAP, "recovery", account_id, epoch)


def profile(account_id: UUID, revision: int) -> bytes:
    """Return the AAD of one revision of the profile."""
    return lp("vaultr/v1/profile", account_id, revision)


def vault_overview(vault_id: UUID, overview_revision: int, generation: int) -> bytes:
    """Return the AAD of a vault's overview: revision 0 at creation, later that of its rename."""
    return lp("vaultr/v1/vault", vault_id, overview_revision, generation)


def export_file(kdf: Kdf, salt: bytes) -> bytes:
    """Return the AAD of an export file that is sealed with its own password."""
    return lp("vaultr/v1/export", canonical(kdf), salt)


def item(
    vault_id: UUID, item_id: UUID, part: Part, type: str, content_revision: int, generation: int
) -> bytes:
    """Return the AAD of one part of an item: vault, id, type, and the put that wrote it."""
    return lp("vaultr/v1/item", vault_id, item_id, part, type, content_revision, generation)
