"""What is answered about a recovery, and about a recovery key."""

from typing import Self

from pydantic import SerializerFunctionWrapHandler, model_serializer

from vaultr.auth.recovery.flow import HandedOut, Started
from vaultr.auth.recovery.tokens import WAIT
from vaultr.auth.recovery_key import Standing
from vaultr.auth.responses import KeySetOut, RecoveryKeyOut, RunningOut, key_set_out
from vaultr.wire.field_types import Bytes, Id, Out, Time


class SealedForRecovery(Out):
    """The account key, sealed under the recovery key; `epoch` is the one that its seal binds."""

    sealed: Bytes
    epoch: int


class KeyOfGeneration(Out):
    """The keys of one generation of a vault, sealed."""

    generation: int
    sealed_key: Bytes


class KeysOfVault(Out):
    """The keys of a vault that the account holds."""

    vault_id: Id
    keys: list[KeyOfGeneration]


class KeyOfMachine(Out):
    """A machine's key, sealed."""

    id: Id
    sealed_kek: Bytes


class RecoveryOut(Out):
    """When a recovery can be completed; once it can, also what is needed for that."""

    ready_at: Time
    recovery_key: SealedForRecovery | None = None
    key_set: KeySetOut | None = None
    vaults: list[KeysOfVault] | None = None
    machines: list[KeyOfMachine] | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_there_yet(self, show: SerializerFunctionWrapHandler) -> object:
        return {name: value for name, value in show(self).items() if value is not None}

    @classmethod
    def of(cls, started: Started) -> Self:
        """Show a recovery to who started it."""
        if started.handed_out is None:
            return cls(ready_at=started.ready_at)
        given = started.handed_out
        return cls(
            ready_at=started.ready_at,
            recovery_key=SealedForRecovery(sealed=given.sealed, epoch=given.epoch),
            key_set=key_set_out(given.owner),
            vaults=_vaults(given),
            machines=[
                KeyOfMachine(id=name[0], sealed_kek=sealed)
                for name, sealed in sorted(given.wraps.get("machines", {}).items())
            ],
        )


def recovery_key_out(standing: Standing) -> RecoveryKeyOut | None:
    """Show an owner that there is a recovery key."""
    if standing.epoch is None or standing.created_at is None:
        return None
    return RecoveryKeyOut(epoch=standing.epoch, created_at=standing.created_at)


def running_out(standing: Standing) -> RunningOut | None:
    """Show an owner that a recovery is under way."""
    if standing.running_since is None:
        return None
    ready_at = standing.running_since + WAIT
    return RunningOut(started_at=standing.running_since, ready_at=ready_at)


def _vaults(given: HandedOut) -> list[KeysOfVault]:
    vaults: dict[object, KeysOfVault] = {}
    for (vault_id, generation), sealed in sorted(given.wraps.get("vaults", {}).items()):
        vault = vaults.setdefault(vault_id, KeysOfVault(vault_id=vault_id, keys=[]))
        vault.keys.append(KeyOfGeneration(generation=generation, sealed_key=sealed))
    return list(vaults.values())
