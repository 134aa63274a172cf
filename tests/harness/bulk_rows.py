"""Insert many rows with SQL (PostgreSQL only)."""

import secrets
from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa

from tests import factories
from vaultr.database.session import db, transaction

_ACCOUNTS = """
INSERT INTO accounts (id, email, epoch, created_at, audit_event_id, auth_scheme, kdf, salt,
    verifier, pepper_id)
SELECT gen_random_uuid(), 'person-' || n || '@example.org', 1, :now, gen_random_uuid(), 'vp1', kdf,
    salt, verifier, pepper_id
FROM generate_series(1, :accounts) n, (SELECT * FROM accounts LIMIT 1) one
"""
_VAULTS = """
INSERT INTO vaults (id, account_id, generation, rotating, revision, head, overview,
    overview_revision, overview_generation, active, trash, item_bytes, version_bytes, created_at,
    audit_event_id)
SELECT gen_random_uuid(), a.id, 1, false, :items, :hash, :sealed, 0, 1, :items, 0, 0, 0, :now,
    gen_random_uuid()
FROM accounts a WHERE a.email LIKE :emails
"""
_KEYS = """
INSERT INTO vault_keys (vault_id, holder_id, generation, role, sealed_key, audit_event_id)
SELECT v.id, v.account_id, 1, 'owner', :sealed, gen_random_uuid()
FROM vaults v WHERE NOT EXISTS (SELECT 1 FROM vault_keys k WHERE k.vault_id = v.id)
"""
_ITEMS = """
INSERT INTO items (vault_id, id, revision, content_revision, generation, type, state, size, puts,
    content, overview, detail, created_at, updated_at, audit_event_id)
SELECT v.id, gen_random_uuid(), n, n, 1, CASE n % 3 WHEN 0 THEN 'note' ELSE 'login' END, 'active',
    length(:sealed) + length(:detail), 1, :hash, :sealed, :detail, :now, :now, gen_random_uuid()
FROM vaults v, generate_series(1, v.revision) n WHERE v.item_bytes = 0
"""
_VERSIONS = """
INSERT INTO versions (vault_id, item_id, revision, generation, type, size, overview, detail,
    created_at, audit_event_id)
SELECT i.vault_id, i.id, i.revision, i.generation, i.type, i.size, i.overview, i.detail,
    i.created_at, i.audit_event_id
FROM items i JOIN vaults v ON v.id = i.vault_id WHERE v.item_bytes = 0
"""
_ENTRIES = """
INSERT INTO entries (vault_id, n, prev, op, item_id, content_revision, content, generation,
    author_id, vouch, mac, head, audit_event_id)
SELECT i.vault_id, i.revision, :hash, 'put', i.id, i.revision, :hash, 1, v.account_id, :hash, :hash,
    :hash, i.audit_event_id
FROM items i JOIN vaults v ON v.id = i.vault_id WHERE v.item_bytes = 0
"""
# Other writes use the same numbers, but no test reads them.
_REMOVED = """
INSERT INTO removed_items (vault_id, item_id, revision)
SELECT v.id, gen_random_uuid(), n FROM vaults v, generate_series(1, v.revision, 3) n
WHERE v.item_bytes = 0
"""
_SESSIONS = """
INSERT INTO sessions (id, account_id, device_hash, device_name, family, network, created_at,
    last_used_at, proven_at, idle_until, expires_at, audit_event_id)
SELECT gen_random_uuid(), id, :hash, 'laptop', 'vaultr', '-', :now, :now, :now, :now, :now,
    gen_random_uuid()
FROM accounts
"""
_COUNTS = """
UPDATE vaults SET item_bytes = revision * (length(:sealed) + length(:detail)),
    version_bytes = revision * (length(:sealed) + length(:detail))
WHERE item_bytes = 0
"""


def stuff(connection, values):
    """Fill each vault without items: one put for each revision."""
    for statement in (_ITEMS, _VERSIONS, _ENTRIES, _REMOVED, _COUNTS):
        connection.execute(sa.text(statement), values)


def fill(app, *, items, accounts, small_items=3):
    """Create a vault of Ann's with many items, and accounts with a small vault each.

    :return: the id of ann's vault, its revision and its head.
    """
    head = secrets.token_bytes(32)
    values = {
        "now": datetime.now(UTC),
        "accounts": accounts,
        "sealed": factories.sealed(180),
        "detail": factories.sealed(300),
        "hash": head,
    }
    with app.app_context():
        factories.account("ann@example.org", id=uuid4())
        with transaction() as session:
            session.execute(sa.text("SET LOCAL statement_timeout = 0"))
            run = session.connection().execute
            run(sa.text(_ACCOUNTS), values)
            run(sa.text(_VAULTS), {**values, "items": small_items, "emails": "person-%"})
            run(sa.text(_VAULTS), {**values, "items": items, "emails": "ann@%"})
            run(sa.text(_KEYS), values)
            run(sa.text(_SESSIONS), values)
            stuff(session.connection(), values)
            ann = sa.text("SELECT id FROM vaults WHERE revision = :items")
            vault_id = session.scalars(ann, {"items": items}).one()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    return vault_id, items, head
