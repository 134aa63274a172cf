"""Key rewrap: replaces all wraps under an account key, in all packages that store wraps."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from flask import Flask
from sqlalchemy.orm import Session as Work

from vaultr.app_state import AppSlot
from vaultr.auth.credential_schemas import RewrapIn
from vaultr.auth.errors import WrapsDiffer
from vaultr.errors import FieldError

# The id of the vault or machine to which a wrap belongs, and its generation; 0 for a machine.
WrapName: TypeAlias = tuple[UUID, int]


class Holder(Protocol):
    """A module or object that stores wraps under account keys."""

    @property
    def WRAPS(self) -> str:  # noqa: N802 - a constant of the module
        """The member of `rewrap` that lists its wraps: ``vaults`` or ``machines``."""

    def wraps_of(self, work: Work, account_id: UUID, *, lock: bool) -> Mapping[WrapName, bytes]:
        """Return all wraps under the account's key.

        :param lock: block changes to the wraps until this transaction ends. The caller has locked
            the account's row ``FOR UPDATE``, so writers that lock it with at least ``FOR KEY
            SHARE`` wait.
        """

    def replace_wraps(
        self, work: Work, account_id: UUID, wraps: Mapping[WrapName, bytes], event_id: UUID
    ) -> None:
        """Replace each stored wrap by the new wrap of the same name.

        :param event_id: the audit event of the change.
        """


_HOLDERS: Final = AppSlot[tuple[Holder, ...]]("auth.wrap_holders")


def init_app(app: Flask, *, holders: Sequence[Holder]) -> None:
    """Store the holders of key wraps."""
    _HOLDERS.set(app, tuple(holders))


def all_wraps(work: Work, account_id: UUID) -> dict[str, Mapping[WrapName, bytes]]:
    """Return all wraps under an account's key, by the `WRAPS` name of their holder."""
    return {holder.WRAPS: holder.wraps_of(work, account_id, lock=False) for holder in _holders()}


def replace_wraps(work: Work, account_id: UUID, rewrap: RewrapIn, event_id: UUID) -> None:
    """Replace all wraps under an account's key; the account is locked ``FOR UPDATE``.

    :raises WrapsDiffer: a wrap is missing, named twice or unknown.
    """
    sent = {
        "vaults": [
            ((vault.vault_id, vault.generation), vault.sealed_key) for vault in rewrap.vaults
        ],
        "machines": [((machine.id, 0), machine.sealed_kek) for machine in rewrap.machines],
    }
    wrong = []
    for holder in _holders():
        new = sent.pop(holder.WRAPS)
        wraps, stored = dict(new), holder.wraps_of(work, account_id, lock=True)
        if len(wraps) < len(new) or wraps.keys() != stored.keys():
            wrong.append(holder.WRAPS)
        elif wraps:
            holder.replace_wraps(work, account_id, wraps, event_id)
    wrong += [member for member, wraps in sent.items() if wraps]  # no holder stores such wraps
    if wrong:
        at = [
            FieldError(f"/rewrap/{member}", "must name each wrap of the account exactly once")
            for member in wrong
        ]
        raise WrapsDiffer(errors=at)


def _holders() -> tuple[Holder, ...]:
    return _HOLDERS.get()
