"""`/api/v1/machines`: the machines of an account, and a machine's view of itself."""

from typing import cast
from uuid import UUID

from flask import Blueprint

from vaultr import errors
from vaultr.api import pagination
from vaultr.api.operation import Answer, operation
from vaultr.api.preconditions import precondition
from vaultr.audit.errors import AuditUnavailable
from vaultr.machines import service
from vaultr.machines.errors import (
    MachineChanged,
    MachineExists,
    MachineNotFound,
    MachineQuotaExceeded,
)
from vaultr.machines.responses import MachineList, MachineSelfView, MachineView
from vaultr.machines.schemas import MachineEdit, MachineNew
from vaultr.request_context import current_actor
from vaultr.settings.model import current_settings
from vaultr.vault.errors import VaultNotFound
from vaultr.wire.field_types import NotSealed, Page
from vaultr.wire.preconditions import etag

blueprint = Blueprint("machines", __name__, url_prefix="/api/v1/machines")

_CHANGE = (VaultNotFound, NotSealed, errors.Unprocessable, errors.Conflict, AuditUnavailable)


@blueprint.get("")
@operation(access="read")
def list_machines(*, query: Page) -> MachineList:
    """List your machines, each with its vaults and wraps."""
    actor = current_actor()
    purpose = f"machines {actor.account_id}"
    place = pagination.read(purpose, query.cursor)
    after = UUID(cast(str, place[0])) if place else None
    found, last = service.list_machines(actor, after=after, limit=query.limit)
    cursor = pagination.write(purpose, str(last)) if last else None
    return MachineList(machines=found, next_cursor=cursor)


@blueprint.post("")
@operation(
    errors=(*_CHANGE, MachineExists, MachineQuotaExceeded),
    access="write",
    step_up=True,
    statuses=(201,),
    returns=MachineView,
)
def create_machine(*, body: MachineNew) -> Answer:
    """Create a machine. Your client generates its token, and sends only values derived from it.

    `keys` must cover every generation that a vault's contents use, and the current one.
    """
    view = service.create_machine(current_actor(), body, current_settings().quota_machines)
    return _tagged(view, status=201)


@blueprint.get("/self")
@operation(errors=(MachineNotFound,), access="read", machines=True)
def show_self() -> MachineSelfView:
    """Return the vaults, rights and keys of the machine that sends the request; 404 for a user."""
    return service.show_self(current_actor())


@blueprint.get("/<uuid:machine_id>")
@operation(errors=(MachineNotFound,), access="read", returns=MachineView)
def show_machine(machine_id: UUID) -> Answer:
    """Return one machine."""
    return _tagged(service.show_machine(current_actor(), machine_id))


@blueprint.put("/<uuid:machine_id>")
@operation(
    errors=(*_CHANGE, MachineNotFound, MachineChanged),
    access="write",
    step_up=True,
    if_match=True,
    returns=MachineView,
)
def replace_machine(machine_id: UUID, *, body: MachineEdit) -> Answer:
    """Replace a machine's name, vaults, rights, wraps, expiry and networks.

    With a new `auth_key` and `sealed_kek` its old token stops working immediately. `If-Match` is
    optional.
    """
    expected = precondition()
    return _tagged(service.replace_machine(current_actor(), machine_id, body, expected))


@blueprint.delete("/<uuid:machine_id>")
@operation(errors=(MachineNotFound, AuditUnavailable), access="write", step_up=True)
def delete_machine(machine_id: UUID) -> None:
    """Delete a machine and its wraps. Rotate the vaults that it could read."""
    service.delete_machine(current_actor(), machine_id)


def _tagged(view: MachineView, *, status: int = 200) -> Answer:
    return Answer(view, status, etag(view.revision))
