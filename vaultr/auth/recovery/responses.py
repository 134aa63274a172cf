"""Response schemas of recoveries and recovery keys."""

from typing import Self

from pydantic import SerializerFunctionWrapHandler, model_serializer

from vaultr.auth.recovery.flow import RecoveryData, RecoveryStatus
from vaultr.auth.recovery.tokens import WAIT
from vaultr.auth.recovery_key import RecoveryState
from vaultr.auth.responses import KeySetOut, RecoveryKeyOut, RunningOut, key_set_out
from vaultr.wire.field_types import Bytes, Id, Out, Time


class SealedForRecovery(Out):
    """The account key, sealed under the recovery key; `epoch` is the one in its seal."""

    sealed: Bytes
    epoch: int


class KeyOfGeneration(Out):
    """The sealed keys of one generation of a vault."""

    generation: int
    sealed_key: Bytes


class KeysOfVault(Out):
    """The sealed keys of a vault of the account."""

    vault_id: Id
    keys: list[KeyOfGeneration]


class KeyOfMachine(Out):
    """The sealed key of a machine."""

    id: Id
    sealed_kek: Bytes


class RecoveryOut(Out):
    """The time from which the recovery can be completed; from then on, also the data for that."""

    ready_at: Time
    recovery_key: SealedForRecovery | None = None
    key_set: KeySetOut | None = None
    vaults: list[KeysOfVault] | None = None
    machines: list[KeyOfMachine] | None = None

    @model_serializer(mode="wrap")
    def _without_missing(self, show: SerializerFunctionWrapHandler) -> object:
        return {name: value for name, value in show(self).items() if value is not None}

    @classmethod
    def of(cls, status: RecoveryStatus) -> Self:
        """Return the response for a recovery."""
        if status.data is None:
            return cls(ready_at=status.ready_at)
        data = status.data
        return cls(
            ready_at=status.ready_at,
            recovery_key=SealedForRecovery(sealed=data.sealed, epoch=data.epoch),
            key_set=key_set_out(data.owner),
            vaults=_vaults(data),
            machines=[
                KeyOfMachine(id=name[0], sealed_kek=sealed)
                for name, sealed in sorted(data.wraps.get("machines", {}).items())
            ],
        )


def recovery_key_out(state: RecoveryState) -> RecoveryKeyOut | None:
    """Return the response for a recovery key."""
    if state.epoch is None or state.created_at is None:
        return None
    return RecoveryKeyOut(epoch=state.epoch, created_at=state.created_at)


def running_out(state: RecoveryState) -> RunningOut | None:
    """Return the response for a running recovery."""
    if state.running_since is None:
        return None
    ready_at = state.running_since + WAIT
    return RunningOut(started_at=state.running_since, ready_at=ready_at)


def _vaults(data: RecoveryData) -> list[KeysOfVault]:
    vaults: dict[object, KeysOfVault] = {}
    for (vault_id, generation), sealed in sorted(data.wraps.get("vaults", {}).items()):
        vault = vaults.setdefault(vault_id, KeysOfVault(vault_id=vault_id, keys=[]))
        vault.keys.append(KeyOfGeneration(generation=generation, sealed_key=sealed))
    return list(vaults.values())
