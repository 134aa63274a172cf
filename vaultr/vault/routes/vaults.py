"""Routes for vaults as a whole: list, create, show, rename, delete, repair."""

from typing import cast
from uuid import UUID

from vaultr.api import pagination
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.request_context import current_actor
from vaultr.vault import service
from vaultr.vault.errors import GenerationMoved, QuotaExceeded, VaultExists, VaultNotFound
from vaultr.vault.responses import VaultList, VaultView
from vaultr.vault.routes.blueprint import READ, SEALED, WRITE, blueprint, quota, tagged
from vaultr.vault.schemas import EntryAlone, VaultNew, VaultRename
from vaultr.wire.field_types import Page


@blueprint.get("")
@operation(access="read", machines=True)
def list_vaults(*, query: Page) -> VaultList:
    """List the vaults that you can open."""
    actor = current_actor()
    purpose = f"vaults {actor.account_id}"
    place = pagination.read(purpose, query.cursor)
    after = UUID(cast(str, place[0])) if place else None
    found, last = service.list_vaults(actor, quota(), after=after, limit=query.limit)
    return VaultList(
        vaults=found, next_cursor=pagination.write(purpose, str(last)) if last else None
    )


@blueprint.post("")
@operation(
    errors=(*SEALED, VaultExists, QuotaExceeded, AuditUnavailable),
    access="write",
    statuses=(201,),
    returns=VaultView,
)
def create_vault(*, body: VaultNew) -> Answer:
    """Create an empty vault with generation 1 and revision 0."""
    return tagged(service.create_vault(current_actor(), body, quota()), status=201)


@blueprint.get("/<uuid:vault_id>")
@operation(errors=(VaultNotFound,), access="read", checks_session=True, machines=True)
def show_vault(vault_id: UUID) -> VaultView:
    """Return one vault."""
    return service.show_vault(current_actor(), vault_id, quota())


@blueprint.put("/<uuid:vault_id>")
@operation(
    errors=(*WRITE, *SEALED, GenerationMoved),
    access="write",
    checks_session=True,
    returns=VaultView,
)
def rename_vault(vault_id: UUID, *, body: VaultRename) -> Answer:
    """Replace a vault's own sealed overview; the log entry is the precondition."""
    return tagged(service.rename_vault(current_actor(), vault_id, body, quota()))


@blueprint.delete("/<uuid:vault_id>")
@operation(errors=READ, access="write", step_up=True)
def delete_vault(vault_id: UUID) -> None:
    """Delete a vault with everything in it, permanently."""
    service.delete_vault(current_actor(), vault_id)


@blueprint.post("/<uuid:vault_id>/repair")
@operation(errors=WRITE, access="write", step_up=True, returns=VaultView)
def repair_vault(vault_id: UUID, *, body: EntryAlone) -> Answer:
    """Append an entry that changes nothing and commits to the current contents."""
    return tagged(service.repair_vault(current_actor(), vault_id, body.entry, quota()))
