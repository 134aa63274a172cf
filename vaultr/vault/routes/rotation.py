"""Routes for key rotation: begin, show, finish."""

from uuid import UUID

from vaultr import errors
from vaultr.api.operation import Answer, operation
from vaultr.request_context import current_actor
from vaultr.vault import service
from vaultr.vault.errors import (
    GenerationMoved,
    QuotaExceeded,
    RotationIncomplete,
    VaultNotFound,
)
from vaultr.vault.responses import RotationView, VaultView
from vaultr.vault.routes.blueprint import SEALED, WRITE, blueprint, quota, tagged
from vaultr.vault.schemas import EntryAlone, RotationNew


@blueprint.post("/<uuid:vault_id>/rotation")
@operation(
    errors=(*WRITE, *SEALED, GenerationMoved, QuotaExceeded, errors.Conflict),
    access="write",
    step_up=True,
    returns=VaultView,
)
def begin_rotation(vault_id: UUID, *, body: RotationNew) -> Answer:
    """Begin a key rotation: store new keys, under which all later writes must be sealed.

    `machines` lists exactly the machines that hold a key of the vault. Existing items stay
    readable; reseal them, and the vault's overview, by ordinary writes.
    """
    return tagged(service.begin_rotation(current_actor(), vault_id, body, quota()))


@blueprint.get("/<uuid:vault_id>/rotation")
@operation(errors=(VaultNotFound,), access="read", checks_session=True, machines=True)
def show_rotation(vault_id: UUID) -> RotationView:
    """Return the progress of a key rotation; nothing is left when none is running."""
    return service.show_rotation(current_actor(), vault_id)


@blueprint.post("/<uuid:vault_id>/rotation/finish")
@operation(
    errors=(*WRITE, RotationIncomplete, errors.Conflict),
    access="write",
    checks_session=True,
    returns=VaultView,
)
def finish_rotation(vault_id: UUID, *, body: EntryAlone) -> Answer:
    """Finish a key rotation. No active item and no overview may be left under older keys.

    Trash and versions stay under their keys.
    """
    return tagged(service.finish_rotation(current_actor(), vault_id, body.entry, quota()))
