"""Routes for single items: list, show, put, trash, restore, remove."""

from typing import cast
from uuid import UUID

from flask import Response

from vaultr.api import pagination
from vaultr.api.operation import Answer, operation
from vaultr.api.preconditions import known_revision, precondition
from vaultr.api.responses import json
from vaultr.protocol.entries import Op
from vaultr.request_context import current_actor
from vaultr.vault import service
from vaultr.vault.errors import GenerationMoved, ItemNotFound, VaultNotFound
from vaultr.vault.responses import ItemList, ItemView, WriteView
from vaultr.vault.routes.blueprint import PUT, READ, WRITE_ITEM, blueprint, quota
from vaultr.vault.row_json import array
from vaultr.vault.schemas import ItemMove, ItemPut, ItemsQuery
from vaultr.wire.preconditions import etag


@blueprint.get("/<uuid:vault_id>/items")
@operation(
    errors=(VaultNotFound,), access="read", checks_session=True, returns=ItemList, machines=True
)
def list_items(vault_id: UUID, *, query: ItemsQuery) -> Response:
    """List the overviews of items, without details; by default the active items."""
    actor = current_actor()
    purpose = f"items {actor.account_id} {vault_id} {query.state} {query.type or ''}"
    place = pagination.read(purpose, query.cursor)
    found, last = service.list_items(
        actor,
        vault_id,
        state=query.state,
        type=query.type,
        after=UUID(cast(str, place[0])) if place else None,
        limit=query.limit,
    )
    cursor = f'"{pagination.write(purpose, last)}"' if last else "null"
    return json(f'{{"items":{array(found)},"next_cursor":{cursor}}}')


@blueprint.get("/<uuid:vault_id>/items/<uuid:item_id>")
@operation(
    errors=(*READ, ItemNotFound),
    access="read",
    statuses=(200, 304),
    checks_session=True,
    returns=ItemView,
    machines=True,
)
def show_item(vault_id: UUID, item_id: UUID) -> Response:
    """Return one item with its detail; 304 if `If-None-Match` has its revision."""
    read = service.read_item(current_actor(), vault_id, item_id, known_revision())
    return json(read.body, tag=str(read.revision))


@blueprint.put("/<uuid:vault_id>/items/<uuid:item_id>")
@operation(
    errors=PUT,
    access="write",
    statuses=(200, 201),
    checks_session=True,
    returns=WriteView,
    machines=True,
)
def put_item(vault_id: UUID, item_id: UUID, *, body: ItemPut) -> Answer:
    """Create an item (`If-None-Match: *`) or replace its content (`If-Match`).

    After a lost response send the same request again: it returns the first response.
    """
    change = service.Change(Op.PUT, item_id, precondition(), body.entry, service.content_of(body))
    return _write(vault_id, change, status=201 if change.expected.absent else 200)


@blueprint.post("/<uuid:vault_id>/items/<uuid:item_id>/trash")
@operation(errors=WRITE_ITEM, access="write", checks_session=True, returns=WriteView, machines=True)
def trash_item(vault_id: UUID, item_id: UUID, *, body: ItemMove) -> Answer:
    """Move an item to the trash. You can restore it, or remove it permanently."""
    return _write(vault_id, service.Change(Op.TRASH, item_id, precondition(), body.entry))


@blueprint.post("/<uuid:vault_id>/items/<uuid:item_id>/restore")
@operation(
    errors=(*WRITE_ITEM, GenerationMoved),
    access="write",
    checks_session=True,
    returns=WriteView,
    machines=True,
)
def restore_item(vault_id: UUID, item_id: UUID, *, body: ItemMove) -> Answer:
    """Take an item out of the trash."""
    return _write(vault_id, service.Change(Op.RESTORE, item_id, precondition(), body.entry))


@blueprint.post("/<uuid:vault_id>/items/<uuid:item_id>/remove")
@operation(errors=WRITE_ITEM, access="write", checks_session=True, returns=WriteView, machines=True)
def remove_item(vault_id: UUID, item_id: UUID, *, body: ItemMove) -> Answer:
    """Delete an item and its versions permanently. Its id cannot be used again."""
    return _write(vault_id, service.Change(Op.REMOVE, item_id, precondition(), body.entry))


def _write(vault_id: UUID, change: service.Change, *, status: int = 200) -> Answer:
    view = service.write_item(current_actor(), vault_id, change, quota())
    return Answer(view, status, etag(view.revision))
