"""Request bodies about machines."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from vaultr.protocol.sizes import GENERATIONS_PER_VAULT
from vaultr.vault.service import Grant
from vaultr.wire.field_types import Bytes32, From1, Id, In, SealedKey, Time

NAME_CHARACTERS: Final = 64
NETWORKS_MOST: Final = 64
VAULTS_MOST: Final = 1_000


def _network(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a network, such as 10.0.0.0/8")
    if "%" in value:  # a zone is the name of a network interface: any length, any characters
        raise ValueError("must be a network without a zone, such as 2001:db8::/32")
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("must be a network, such as 10.0.0.0/8 or 2001:db8::/32") from None


Network = Annotated[str, PlainValidator(_network), WithJsonSchema({"type": "string"})]


class MachineKey(In):
    """The keys of one generation of a vault, sealed for the machine."""

    generation: From1
    sealed_key: SealedKey


class MachineGrant(In):
    """A machine's rights to a vault, and the vault's keys, sealed for the machine."""

    vault_id: Id
    rights: Literal["read", "write"]
    keys: list[MachineKey] = Field(max_length=GENERATIONS_PER_VAULT)


class MachineIn(In):
    """Everything that the owner can set about a machine."""

    name: str = Field(min_length=1, max_length=NAME_CHARACTERS)
    expires_at: Time
    networks: list[Network] | None = Field(default=None, max_length=NETWORKS_MOST)
    vaults: list[MachineGrant] = Field(max_length=VAULTS_MOST)

    def grants(self) -> list[Grant]:
        """Return the access to vaults that the body requests."""
        return [
            Grant(
                vault.vault_id,
                vault.rights,
                [(key.generation, key.sealed_key) for key in vault.keys],
            )
            for vault in self.vaults
        ]

    def sealed(self) -> Mapping[str, bytes]:
        """Return all values that must be sealed, by pointer."""
        return {
            f"/vaults/{at}/keys/{number}/sealed_key": key.sealed_key
            for at, one in enumerate(self.vaults)
            for number, key in enumerate(one.keys)
        }


class MachineNew(MachineIn):
    """A new machine. `auth_key` and `sealed_kek` come from its token, which is never sent."""

    id: Id
    auth_key: Bytes32
    sealed_kek: SealedKey

    def sealed(self) -> Mapping[str, bytes]:
        """Return all values that must be sealed, by pointer."""
        return {"/sealed_kek": self.sealed_kek, **super().sealed()}


class MachineEdit(MachineIn):
    """The new state of a machine. With `auth_key` and `sealed_kek`, it gets a new token."""

    id: Id | None = None
    auth_key: Bytes32 | None = None
    sealed_kek: SealedKey | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.auth_key is None) is not (self.sealed_kek is None):
            raise ValueError("send auth_key and sealed_kek together, or none of them")
        return self

    def sealed(self) -> Mapping[str, bytes]:
        """Return all values that must be sealed, by pointer."""
        kek = {} if self.sealed_kek is None else {"/sealed_kek": self.sealed_kek}
        return {**kek, **super().sealed()}
