"""A new account key needs every wrap made anew: who keeps wraps takes part in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from flask import Flask
from sqlalchemy.orm import Session as Work

from vaultr.app_state import AppSlot
from vaultr.auth.credential_schemas import RewrapIn
from vaultr.auth.errors import WrapsDiffer
from vaultr.errors import FieldError

# What a wrap belongs to, and of which generation it is: 0 where there are none.
Name: TypeAlias = tuple[UUID, int]


class Holder(Protocol):
    """Keeps wraps that are sealed under account keys. A module can be one."""

    @property
    def WRAPS(self) -> str:  # noqa: N802 - a constant of the module
        """The member of `rewrap` that its wraps are listed in: ``vaults`` or ``machines``."""

    def wraps_of(self, work: Work, account_id: UUID, *, lock: bool) -> Mapping[Name, bytes]:
        """Give every wrap under the account's key.

        :param lock: no wrap is added, replaced or removed before this transaction ends. The
            account's row is locked already (``FOR UPDATE``), so whoever locks that (``FOR KEY
            SHARE`` will do) before writing a wrap waits.
        """

    def replace_wraps(
        self, work: Work, account_id: UUID, wraps: Mapping[Name, bytes], event_id: UUID
    ) -> None:
        """Store each wrap in the place of the one of its name; they are all that there are.

        :param event_id: the audit event that tells of it.
        """


_HOLDERS: Final = AppSlot[tuple[Holder, ...]]("auth.wrap_holders")


def init_app(app: Flask, *, holders: Sequence[Holder]) -> None:
    """Say who keeps wraps under account keys."""
    _HOLDERS.set(app, tuple(holders))


def everything(work: Work, account_id: UUID) -> dict[str, Mapping[Name, bytes]]:
    """Give all wraps under an account's key, by the holder's word for them."""
    return {one.WRAPS: one.wraps_of(work, account_id, lock=False) for one in _holders()}


def replace(work: Work, account_id: UUID, rewrap: RewrapIn, event_id: UUID) -> None:
    """Replace every wrap under an account's key; the account is locked ``FOR UPDATE``.

    :raises WrapsDiffer: one is missing, or named twice, or there is no such wrap.
    """
    given = {
        "vaults": [((one.vault_id, one.generation), one.sealed_key) for one in rewrap.vaults],
        "machines": [((one.id, 0), one.sealed_kek) for one in rewrap.machines],
    }
    faults = []
    for holder in _holders():
        new = given.pop(holder.WRAPS)
        wraps, stored = dict(new), holder.wraps_of(work, account_id, lock=True)
        if len(wraps) < len(new) or wraps.keys() != stored.keys():
            faults.append(holder.WRAPS)
        elif wraps:
            holder.replace_wraps(work, account_id, wraps, event_id)
    faults += [member for member, wraps in given.items() if wraps]  # which nobody keeps
    if faults:
        at = [
            FieldError(f"/rewrap/{one}", "must name every wrap there is, each once")
            for one in faults
        ]
        raise WrapsDiffer(errors=at)


def _holders() -> tuple[Holder, ...]:
    return _HOLDERS.get()
