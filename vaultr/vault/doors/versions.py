"""What an item was before, over HTTP."""

from typing import cast
from uuid import UUID

from flask import Response

from vaultr import cursors, errors
from vaultr.actor import current_actor
from vaultr.operation import operation
from vaultr.vault import rows, versions
from vaultr.vault.doors.blueprint import READ, blueprint, json
from vaultr.vault.errors import ItemNotFound, VaultNotFound
from vaultr.vault.views import VersionList, VersionView
from vaultr.wire import Page


@blueprint.get("/<uuid:vault_id>/items/<uuid:item_id>/versions")
@operation(
    refuses=(VaultNotFound, ItemNotFound), access="read", proves_session=True, answers=VersionList
)
def list_versions(vault_id: UUID, item_id: UUID, *, query: Page) -> Response:
    """List the last contents of an item by their overviews, the present one first, no detail."""
    actor = current_actor()
    purpose = f"versions {actor.account_id} {vault_id} {item_id}"
    place = cursors.read(purpose, query.cursor)
    before = int(cast(str, place[0])) if place else None
    found, last = versions.list_versions(actor, vault_id, item_id, before=before, limit=query.limit)
    cursor = f'"{cursors.write(purpose, str(last))}"' if last else "null"
    return json(f'{{"versions":{rows.array(found)},"next_cursor":{cursor}}}')


@blueprint.get("/<uuid:vault_id>/items/<uuid:item_id>/versions/<revision:revision>")
@operation(
    refuses=(*READ, ItemNotFound, errors.NotFound),
    access="read",
    proves_session=True,
    answers=VersionView,
)
def show_version(vault_id: UUID, item_id: UUID, revision: int) -> Response:
    """Show one whole content of an item as its put of that revision left it.

    To bring it back, put it anew: a client seals it for the revision that it then takes.
    """
    return json(versions.read_version(current_actor(), vault_id, item_id, revision))
