"""The SQL of single writes: one script and one round trip each. Batches use the tables directly."""

from typing import Final

from vaultr.database.sql import Statement
from vaultr.protocol.sizes import VERSIONS_PER_ITEM

_ENTRY: Final = (
    "INSERT INTO entries (vault_id, n, prev, op, item_id, content_revision, content, generation,"
    " author_id, vouch, mac, head, audit_event_id)"
    " VALUES (:vault_id, :n, :prev, :op, :item_id, :content_revision, :content, :generation,"
    " :author_id, :vouch, :mac, :head, :audit_event_id)"
)
_COUNT: Final = (
    "UPDATE vaults SET revision = :n, head = :head, active = :active, trash = :trash,"
    " item_bytes = :item_bytes, version_bytes = version_bytes + :added_bytes WHERE id = :vault_id"
)
_VERSION: Final = (
    "INSERT INTO versions (vault_id, item_id, revision, generation, type, size, overview, detail,"
    " created_at, audit_event_id) VALUES (:vault_id, :item_id, :n, :generation, :type, :size,"
    " :overview, :detail, :now, :audit_event_id)"
)

COUNT: Final = Statement(_COUNT)
CREATE: Final = Statement(
    "INSERT INTO items (vault_id, id, revision, content_revision, generation, type, state, size,"
    " puts, content, overview, detail, created_at, updated_at, audit_event_id)"
    " VALUES (:vault_id, :item_id, :n, :n, :generation, :type, 'active', :size, 1, :content,"
    " :overview, :detail, :now, :now, :audit_event_id)",
    _VERSION,
    _ENTRY,
    _COUNT,
)
REPLACE: Final = Statement(
    "UPDATE items SET revision = :n, content_revision = :n, generation = :generation,"
    " type = :type, size = :size, puts = puts + 1, content = :content, overview = :overview,"
    " detail = :detail, updated_at = :now, audit_event_id = :audit_event_id"
    " WHERE vault_id = :vault_id AND id = :item_id",
    _VERSION,
    _ENTRY,
    _COUNT,
)
MOVE: Final = Statement(
    "UPDATE items SET revision = :n, state = :state, updated_at = :now,"
    " audit_event_id = :audit_event_id WHERE vault_id = :vault_id AND id = :item_id",
    _ENTRY,
    _COUNT,
)
_OF_ITEM: Final = "FROM versions WHERE vault_id = :vault_id AND item_id = :item_id"
REMOVE: Final = Statement(
    "DELETE FROM items WHERE vault_id = :vault_id AND id = :item_id",
    "INSERT INTO removed_items (vault_id, item_id, revision) VALUES (:vault_id, :item_id, :n)",
    _ENTRY,
    _COUNT,
    "UPDATE vaults SET version_bytes = version_bytes"  # nosec B608 - constants only
    f" - (SELECT coalesce(sum(size), 0) {_OF_ITEM}) WHERE id = :vault_id",
    f"DELETE {_OF_ITEM}",
)
RENAME: Final = Statement(
    _ENTRY,
    "UPDATE vaults SET revision = :n, head = :head, overview = :overview,"
    " overview_revision = :n, overview_generation = :generation WHERE id = :vault_id",
)
EXTEND: Final = Statement(
    _ENTRY,
    "UPDATE vaults SET revision = :n, head = :head WHERE id = :vault_id",
)
BEGIN_ROTATION: Final = Statement(
    _ENTRY,
    "UPDATE vaults SET revision = :n, head = :head, generation = :generation, rotating = true"
    " WHERE id = :vault_id",
)
FINISH_ROTATION: Final = Statement(
    _ENTRY,
    "UPDATE vaults SET revision = :n, head = :head, rotating = false WHERE id = :vault_id",
)
_TOO_OLD: Final = (
    f"{_OF_ITEM} AND revision <= (SELECT revision {_OF_ITEM}"
    f" ORDER BY revision DESC LIMIT 1 OFFSET {VERSIONS_PER_ITEM})"
)
DROP_OLD_VERSIONS: Final = Statement(
    "UPDATE vaults SET version_bytes = version_bytes"  # nosec B608 - constants only
    f" - (SELECT coalesce(sum(size), 0) {_TOO_OLD}) WHERE id = :vault_id",
    f"DELETE {_TOO_OLD}",
)
