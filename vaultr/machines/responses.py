"""Response bodies about machines."""

from typing import Literal

from vaultr.wire.field_types import Bytes, Id, Int, Out, Time


class MachineKeyView(Out):
    """The keys of one generation of a vault, sealed for the machine."""

    generation: Int
    sealed_key: Bytes


class MachineVaultView(Out):
    """A vault that a machine may open."""

    vault_id: Id
    rights: Literal["read", "write"]
    keys: list[MachineKeyView]


class MachineView(Out):
    """A machine. Without `networks` it can be used from any address."""

    id: Id
    name: str
    revision: Int
    created_at: Time
    expires_at: Time
    networks: list[str]
    last_used_at: Time | None
    sealed_kek: Bytes
    vaults: list[MachineVaultView]


class MachineList(Out):
    """Machines, ordered by id."""

    machines: list[MachineView]
    next_cursor: str | None


class MachineSelfView(Out):
    """The keys and rights with which a machine opens its vaults."""

    id: Id
    account_id: Id
    name: str
    expires_at: Time
    vaults: list[MachineVaultView]
