"""Routes for batches of changes, and for sync."""

from uuid import UUID

from flask import Response

from vaultr.api import idempotency
from vaultr.api.operation import Answer, operation
from vaultr.api.preconditions import known_tag
from vaultr.api.responses import json
from vaultr.protocol.sizes import BATCH_BODY_BYTES
from vaultr.ratelimit import middleware
from vaultr.request_context import current_actor
from vaultr.vault import service
from vaultr.vault.errors import HeadMoved
from vaultr.vault.responses import ChangesResponse, SyncView
from vaultr.vault.routes.blueprint import PUT, READ, blueprint, quota
from vaultr.vault.schemas import ChangesIn, ChangesQuery, SyncQuery

BATCH_KEYS = 200_000


@blueprint.post("/<uuid:vault_id>/changes")
@operation(
    errors=PUT,
    access="write",
    body_bytes=BATCH_BODY_BYTES,
    max_keys=BATCH_KEYS,
    checks_session=True,
    returns=ChangesResponse,
    machines=True,
)
def change_items(vault_id: UUID, *, body: ChangesIn, query: ChangesQuery) -> Answer:
    """Write up to 1,000 changes in order: all of them, or none if one is rejected.

    With `dry_run=true` nothing is written, and each change is checked on top of the valid changes
    before it, its entry against the entry before it.
    """
    middleware.count_more_writes(len(body.changes))
    if query.dry_run:
        idempotency.skip_storing()
    make = service.dry_run if query.dry_run else service.change_items
    return Answer(make(current_actor(), vault_id, body.changes, quota()))


@blueprint.get("/<uuid:vault_id>/sync")
@operation(
    errors=(*READ, HeadMoved),
    access="read",
    statuses=(200, 304),
    checks_session=True,
    returns=SyncView,
    machines=True,
)
def sync_vault(vault_id: UUID, *, query: SyncQuery) -> Response:
    """Return what changed since a revision, or the full set, page by page.

    The next page of a delta has `since=<through>`, of a full set `since=0&after=<through>`.
    """
    page = service.sync(current_actor(), vault_id, query, known_tag(), quota())
    return json(page.body, tag=page.tag)
