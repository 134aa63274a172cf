"""Create, change and delete machines.

Each change locks the account, then the affected vaults in the order of their ids. So a rotation, a
new account key or a deletion runs either before or after the change.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import service as auth
from vaultr.database.session import transaction
from vaultr.errors import FieldError, Unprocessable
from vaultr.machines import token_check
from vaultr.machines.errors import (
    MachineChanged,
    MachineExists,
    MachineNotFound,
    MachineQuotaExceeded,
)
from vaultr.machines.listing import view_in
from vaultr.machines.models import MACHINES
from vaultr.machines.responses import MachineView
from vaultr.machines.schemas import MachineEdit, MachineIn, MachineNew
from vaultr.request_context import Actor
from vaultr.vault import service as vault
from vaultr.vault.service import Grant
from vaultr.wire import field_types
from vaultr.wire.preconditions import Precondition, etag

# The owner gets an email this long before a machine expires.
NOTICE: Final = timedelta(days=7)

# Deletes the stored responses of a machine, which belong to the HTTP layer.
DeleteResponses = Callable[[Session, UUID], None]

_DELETE_RESPONSES: Final = AppSlot[DeleteResponses]("machines.delete_responses")


def init_app(app: Flask, *, delete_responses: DeleteResponses) -> None:
    """Store the function that deletes a machine's stored responses."""
    _DELETE_RESPONSES.set(app, delete_responses)
    token_check.init_app(app)


def create_machine(actor: Actor, body: MachineNew, quota: int) -> MachineView:
    """Create a machine of an account.

    :raises Unauthenticated: the session ended in the meantime.
    :raises VaultNotFound: the account has no such vault.
    :raises NotSealed, Unprocessable: see `_check_body`.
    :raises MachineExists: the id is in use.
    :raises MachineQuotaExceeded: the account has ``quota`` machines.
    :raises Conflict: the keys of a vault leave out a generation that it uses.
    """
    grants = body.grants()
    with transaction() as work:
        auth.lock_own_account(work, actor)
        vaults = vault.lock_granted(work, actor.account_id, body.id, grants)
        _check_body(body, grants)
        _check_id(work, body.id)
        vault.check_generations(work, vaults, grants)
        _check_quota(work, actor.account_id, quota)
        event_id = _record(Event.MACHINE_CREATE, actor, body.id, body, grants)
        row = {
            **_owner_columns(body),
            "id": body.id,
            "account_id": actor.account_id,
            "auth_hash": token_check.auth_hash(body.auth_key),
            "sealed_kek": body.sealed_kek,
            "created_at": clock.now(),
            "last_used_at": None,
            "revision": 1,
            "audit_event_id": event_id,
        }
        try:
            work.execute(sa.insert(MACHINES), row)
        except sa.exc.IntegrityError as error:  # another account took the id at the same moment
            raise MachineExists from error
        vault.replace_grants(work, body.id, grants, event_id)
        return view_in(work, actor.account_id, body.id)


def replace_machine(
    actor: Actor, machine_id: UUID, body: MachineEdit, expected: Precondition
) -> MachineView:
    """Replace everything that the owner can set about a machine, and all its wraps.

    With a new key, the machine's old token stops working immediately.

    :raises MachineNotFound: the account has no such machine.
    :raises VaultNotFound, NotSealed, Unprocessable, Conflict: see `create_machine`.
    :raises MachineChanged: it has another revision than ``expected``.
    """
    grants = body.grants()
    with transaction() as work:
        auth.lock_own_account(work, actor)
        revision = _revision(work, actor.account_id, machine_id)
        vaults = vault.lock_granted(work, actor.account_id, machine_id, grants)
        _check_body(body, grants)
        if body.id not in (None, machine_id):
            raise Unprocessable(errors=[FieldError("/id", "must be the id in the path")])
        if expected.is_set and expected.revision != revision:
            tag = etag(revision)
            raise MachineChanged(members={"revision": revision}, headers=tag)
        vault.check_generations(work, vaults, grants)
        event_id = _record(Event.MACHINE_CHANGE, actor, machine_id, body, grants)
        values = {**_owner_columns(body), "revision": revision + 1, "audit_event_id": event_id}
        if body.auth_key is not None:
            values |= {
                "auth_hash": token_check.auth_hash(body.auth_key),
                "sealed_kek": body.sealed_kek,
            }
        work.execute(sa.update(MACHINES).where(MACHINES.c.id == machine_id).values(values))
        vault.replace_grants(work, machine_id, grants, event_id)
        return view_in(work, actor.account_id, machine_id)


def delete_machine(actor: Actor, machine_id: UUID) -> None:
    """Delete a machine with its wraps; its next request is rejected.

    :raises MachineNotFound: the account has no such machine.
    """
    with transaction() as work:
        auth.lock_own_account(work, actor)
        _revision(work, actor.account_id, machine_id)
        vault.lock_granted(work, actor.account_id, machine_id, ())
        obj = {"kind": "machine", "id": str(machine_id)}
        audit.record(Event.MACHINE_DELETE, account_id=actor.account_id, obj=obj)
        vault.delete_grants(work, machine_id)
        _DELETE_RESPONSES.get()(work, machine_id)
        work.execute(sa.delete(MACHINES).where(MACHINES.c.id == machine_id))


def delete_all_of(work: Session, account_id: UUID) -> None:
    """Delete all machines of a locked account, whose vaults are already deleted."""
    mine = sa.select(MACHINES.c.id).where(MACHINES.c.account_id == account_id)
    for machine_id in work.scalars(mine.order_by(MACHINES.c.id)).all():
        _DELETE_RESPONSES.get()(work, machine_id)
    work.execute(sa.delete(MACHINES).where(MACHINES.c.account_id == account_id))


def _revision(work: Session, account_id: UUID, machine_id: UUID) -> int:
    """Lock a machine of an account, and return its revision.

    :raises MachineNotFound: the account has no such machine.
    """
    mine = sa.and_(MACHINES.c.id == machine_id, MACHINES.c.account_id == account_id)
    row = work.execute(sa.select(MACHINES.c.revision).where(mine).with_for_update()).one_or_none()
    if row is None:
        raise MachineNotFound
    return int(row.revision)


def _check_body(body: MachineNew | MachineEdit, grants: Sequence[Grant]) -> None:
    """Check the body, without the database.

    :raises NotSealed: a wrap cannot be ciphertext.
    :raises Unprocessable: it expires in the past, or lists a vault or a generation twice.
    """
    vault.check_once(grants)
    field_types.check_sealed(body.sealed())
    if body.expires_at <= clock.now():
        raise Unprocessable(errors=[FieldError("/expires_at", "must be in the future")])


def _check_id(work: Session, machine_id: UUID) -> None:
    """Check that the id is free. Ids of accounts and decoys count as taken, to reveal neither."""
    taken = work.scalar(sa.select(MACHINES.c.id).where(MACHINES.c.id == machine_id)) is not None
    if auth.is_account_id(work, machine_id) or taken:
        raise MachineExists


def _check_quota(work: Session, account_id: UUID, quota: int) -> None:
    mine = sa.select(sa.func.count()).where(MACHINES.c.account_id == account_id)
    if work.scalars(mine).one() >= quota:
        raise MachineQuotaExceeded(
            f"An account can have at most {quota} machines. Delete one first."
        )


def _owner_columns(body: MachineIn) -> dict[str, Any]:
    """Return the columns that the owner sets."""
    return {
        "name": body.name,
        "networks": " ".join(body.networks) if body.networks else None,
        "expires_at": body.expires_at,
        "notice_at": _notice_at(body.expires_at),
    }


def _notice_at(expires_at: datetime) -> datetime | None:
    """Return the time of the email to the owner; None if the machine expires too soon for one."""
    moment = expires_at - NOTICE
    return moment if moment > clock.now() else None


def _record(
    event: Event, actor: Actor, machine_id: UUID, body: MachineIn, grants: Sequence[Grant]
) -> UUID:
    obj: dict[str, Any] = {
        "kind": "machine",
        "id": str(machine_id),
        "expires_at": clock.text(body.expires_at),
        "networks": len(body.networks or ()),
        "read": [str(grant.vault_id) for grant in grants if grant.rights == "read"],
        "write": [str(grant.vault_id) for grant in grants if grant.rights == "write"],
    }
    if isinstance(body, MachineEdit):
        obj["new_token"] = "no" if body.auth_key is None else "yes"
    return audit.record(event, account_id=actor.account_id, obj=obj)
