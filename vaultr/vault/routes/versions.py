"""Routes for earlier contents of an item."""

from typing import cast
from uuid import UUID

from flask import Response

from vaultr import errors
from vaultr.api import pagination
from vaultr.api.operation import operation
from vaultr.api.responses import json
from vaultr.request_context import current_actor
from vaultr.vault import service
from vaultr.vault.errors import ItemNotFound, VaultNotFound
from vaultr.vault.responses import VersionList, VersionView
from vaultr.vault.routes.blueprint import READ, blueprint
from vaultr.vault.row_json import array
from vaultr.wire.field_types import Page


@blueprint.get("/<uuid:vault_id>/items/<uuid:item_id>/versions")
@operation(
    errors=(VaultNotFound, ItemNotFound),
    access="read",
    checks_session=True,
    returns=VersionList,
    machines=True,
)
def list_versions(vault_id: UUID, item_id: UUID, *, query: Page) -> Response:
    """List the latest contents of an item without details, the current one first."""
    actor = current_actor()
    purpose = f"versions {actor.account_id} {vault_id} {item_id}"
    place = pagination.read(purpose, query.cursor)
    before = int(cast(str, place[0])) if place else None
    found, last = service.list_versions(actor, vault_id, item_id, before=before, limit=query.limit)
    cursor = f'"{pagination.write(purpose, str(last))}"' if last else "null"
    return json(f'{{"versions":{array(found)},"next_cursor":{cursor}}}')


@blueprint.get("/<uuid:vault_id>/items/<uuid:item_id>/versions/<revision:revision>")
@operation(
    errors=(*READ, ItemNotFound, errors.NotFound),
    access="read",
    checks_session=True,
    returns=VersionView,
    machines=True,
)
def show_version(vault_id: UUID, item_id: UUID, revision: int) -> Response:
    """Return the content of an item after the put of this revision.

    To restore it, put it again: your client seals it for the new revision.
    """
    return json(service.read_version(current_actor(), vault_id, item_id, revision))
