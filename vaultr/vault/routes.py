"""HTTP for vaults, their items and their log."""

from typing import cast
from uuid import UUID

from flask import Blueprint, Response, current_app

from vaultr import cursors, errors
from vaultr.actor import Actor, current_actor
from vaultr.audit.errors import AuditUnavailable
from vaultr.ciphertext import NotSealed
from vaultr.conditional import known_revision, known_tag, precondition
from vaultr.limits import blanket
from vaultr.operation import Answer, operation
from vaultr.protocol.entries import Op
from vaultr.protocol.sizes import BATCH_BODY_BYTES
from vaultr.settings import Settings
from vaultr.vault import changes, hot, rows, sync, vaults, writes
from vaultr.vault.errors import (
    GenerationMoved,
    HeadMoved,
    InTrash,
    ItemConflict,
    ItemNotFound,
    ItemTooLarge,
    QuotaExceeded,
    RevisionMoved,
    VaultExists,
    VaultNotFound,
)
from vaultr.vault.rules import Change, Quota, content_of
from vaultr.vault.schemas import (
    ChangesIn,
    ItemMove,
    ItemPut,
    ItemsQuery,
    SyncQuery,
    VaultNew,
    VaultRename,
)
from vaultr.vault.views import (
    ChangesView,
    ItemList,
    ItemView,
    SyncView,
    VaultList,
    VaultView,
    WriteView,
)
from vaultr.wire import Page

blueprint = Blueprint("vaults", __name__, url_prefix="/api/v1/vaults")

BATCH_KEYS = 200_000
_READ = (VaultNotFound, AuditUnavailable)
_WRITE = (*_READ, HeadMoved, errors.Unprocessable)
_WRITE_ITEM = (
    *_WRITE,
    ItemNotFound,
    RevisionMoved,
    errors.PreconditionRequired,
    InTrash,
    ItemConflict,
)
_PUT = (*_WRITE_ITEM, NotSealed, ItemTooLarge, GenerationMoved, QuotaExceeded)


@blueprint.get("")
@operation(access="read")
def list_vaults(*, query: Page) -> VaultList:
    """List the vaults that you may open."""
    actor = current_actor()
    purpose = f"vaults {actor.account_id}"
    place = cursors.read(purpose, query.cursor)
    after = UUID(cast(str, place[0])) if place else None
    found, last = vaults.list_vaults(actor, _quota(), after=after, limit=query.limit)
    return VaultList(vaults=found, next_cursor=cursors.write(purpose, str(last)) if last else None)


@blueprint.post("")
@operation(
    refuses=(NotSealed, ItemTooLarge, VaultExists, QuotaExceeded, AuditUnavailable),
    access="write",
    statuses=(201,),
    answers=VaultView,
)
def create_vault(*, body: VaultNew) -> Answer:
    """Make a vault: generation 1, revision 0, empty."""
    return _tagged(vaults.create_vault(current_actor(), body, _quota()), status=201)


@blueprint.get("/<uuid:vault_id>")
@operation(refuses=(VaultNotFound,), access="read", proves_session=True)
def show_vault(vault_id: UUID) -> VaultView:
    """Show one vault."""
    return vaults.show_vault(current_actor(), vault_id, _quota())


@blueprint.put("/<uuid:vault_id>")
@operation(
    refuses=(*_WRITE, NotSealed, ItemTooLarge, GenerationMoved),
    access="write",
    proves_session=True,
    answers=VaultView,
)
def rename_vault(vault_id: UUID, *, body: VaultRename) -> Answer:
    """Replace a vault's own sealed overview; the log entry is the precondition."""
    return _tagged(vaults.rename_vault(current_actor(), vault_id, body, _quota()))


@blueprint.get("/<uuid:vault_id>/items")
@operation(refuses=(VaultNotFound,), access="read", proves_session=True, answers=ItemList)
def list_items(vault_id: UUID, *, query: ItemsQuery) -> Response:
    """List items by their overviews, no detail; without `state` the active ones."""
    actor = current_actor()
    purpose = f"items {actor.account_id} {vault_id} {query.state} {query.type or ''}"
    place = cursors.read(purpose, query.cursor)
    found, last = hot.list_items(
        actor,
        vault_id,
        state=query.state,
        type=query.type,
        after=UUID(cast(str, place[0])) if place else None,
        limit=query.limit,
    )
    cursor = f'"{cursors.write(purpose, last)}"' if last else "null"
    return _json(f'{{"items":{rows.array(found)},"next_cursor":{cursor}}}')


@blueprint.get("/<uuid:vault_id>/items/<uuid:item_id>")
@operation(
    refuses=(*_READ, ItemNotFound),
    access="read",
    statuses=(200, 304),
    proves_session=True,
    answers=ItemView,
)
def show_item(vault_id: UUID, item_id: UUID) -> Response:
    """Show one whole item; 304 when `If-None-Match` names its revision."""
    read = hot.read_item(current_actor(), vault_id, item_id, known_revision())
    return _json(read.body, tag=str(read.revision))


@blueprint.put("/<uuid:vault_id>/items/<uuid:item_id>")
@operation(
    refuses=_PUT, access="write", statuses=(200, 201), proves_session=True, answers=WriteView
)
def put_item(vault_id: UUID, item_id: UUID, *, body: ItemPut) -> Answer:
    """Create an item (`If-None-Match: *`) or replace its content (`If-Match`).

    A request whose answer was lost can be sent again as it was: it is answered as the first time.
    """
    change = Change(Op.PUT, item_id, precondition(), body.entry, content_of(body))
    return _written(vault_id, change, status=201 if change.expected.absent else 200)


@blueprint.post("/<uuid:vault_id>/items/<uuid:item_id>/trash")
@operation(refuses=_WRITE_ITEM, access="write", proves_session=True, answers=WriteView)
def trash_item(vault_id: UUID, item_id: UUID, *, body: ItemMove) -> Answer:
    """Move an item to the trash, from where it can be restored or removed."""
    return _written(vault_id, Change(Op.TRASH, item_id, precondition(), body.entry))


@blueprint.post("/<uuid:vault_id>/items/<uuid:item_id>/restore")
@operation(refuses=_WRITE_ITEM, access="write", proves_session=True, answers=WriteView)
def restore_item(vault_id: UUID, item_id: UUID, *, body: ItemMove) -> Answer:
    """Bring an item back from the trash."""
    return _written(vault_id, Change(Op.RESTORE, item_id, precondition(), body.entry))


@blueprint.post("/<uuid:vault_id>/items/<uuid:item_id>/remove")
@operation(refuses=_WRITE_ITEM, access="write", proves_session=True, answers=WriteView)
def remove_item(vault_id: UUID, item_id: UUID, *, body: ItemMove) -> Answer:
    """Remove an item with its versions for good, from the trash or not; its id never comes back."""
    return _written(vault_id, Change(Op.REMOVE, item_id, precondition(), body.entry))


@blueprint.post("/<uuid:vault_id>/changes")
@operation(
    refuses=_PUT,
    access="write",
    body_bytes=BATCH_BODY_BYTES,
    max_keys=BATCH_KEYS,
    proves_session=True,
)
def change_items(vault_id: UUID, *, body: ChangesIn) -> ChangesView:
    """Make up to 1,000 changes in order: all of them, or none when one is refused."""
    blanket.count_more_writes(len(body.changes))
    return changes.change_items(current_actor(), vault_id, body.changes, _quota())


@blueprint.get("/<uuid:vault_id>/sync")
@operation(
    refuses=(*_READ, HeadMoved),
    access="read",
    statuses=(200, 304),
    proves_session=True,
    answers=SyncView,
)
def sync_vault(vault_id: UUID, *, query: SyncQuery) -> Response:
    """Give what changed since a revision, or the full set, page by page.

    The next page of a delta has `since=<through>`, of a full set `since=0&after=<through>`.
    """
    page = sync.sync(current_actor(), vault_id, query, known_tag(), _quota())
    return _json(page.body, tag=page.tag)


def _quota() -> Quota:
    settings: Settings = current_app.config["SETTINGS"]
    return Quota(
        items=settings.quota_items,
        item_bytes=settings.quota_item_bytes,
        vault_bytes=settings.quota_vault_bytes,
        vaults=settings.quota_vaults,
    )


def _written(vault_id: UUID, change: Change, *, status: int = 200) -> Answer:
    actor: Actor = current_actor()
    view = writes.write_item(actor, vault_id, change, _quota())
    return Answer(view, status, {"ETag": f'"{view.revision}"'})


def _tagged(view: VaultView, *, status: int = 200) -> Answer:
    return Answer(view, status, {"ETag": f'"{view.revision}"'})


def _json(body: str | None, *, tag: str | None = None) -> Response:
    """Send JSON as it is; without a body the caller has it already."""
    if body is None:
        response = Response(status=304)
        response.headers.pop("Content-Type", None)
    else:
        response = Response(body, mimetype="application/json")
    if tag is not None:
        response.headers["ETag"] = f'"{tag}"'
    return response
