"""Ways to tamper with the audit log with all database rights, and the checks that find them."""

from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit import chain, checkpoints, service, signing, subjects, tree
from vaultr.audit.events import Event
from vaultr.audit.verification import run
from vaultr.database.session import db, reading, transaction
from vaultr.protocol import merkle
from vaultr.protocol.merkle import Frontier
from vaultr.protocol.notes import Checkpoint
from vaultr.security import keyring

ANN, BOB = UUID(int=1), UUID(int=2)
HEAD = (
    "SELECT e.event_id, e.epoch, e.writer_id, e.writer_seq, e.prev_hash, e.body, e.mac, "
    "e.event_hash, e.sub, l.epoch AS tree, l.idx FROM audit_event e JOIN audit_leaf l "
    "ON l.event_id = e.event_id "
)


def record(account=ANN):
    with transaction():
        return service.record(Event.ITEM_WRITE, account_id=account)


def anchor():
    with reading() as session:
        return checkpoints.newest(session).note


def verify(*anchors, keys=True, **more):
    options = run.Options(
        keys=keyring.current().audit.keys.by_id if keys else {}, anchors=anchors, **more
    )
    findings, _ = run.verify(options)
    return findings


def checks(*anchors, **more):
    """Verify the log, and return the checks that found tampering."""
    return {one.check for one in verify(*anchors, **more).listed if one.kind == "tampered"}


def change(statement, **values):
    with db.engine.begin() as connection:
        return connection.execute(sa.text(statement), values).rowcount


def stored():
    with db.engine.connect() as connection:
        return connection.execute(sa.text(HEAD + "ORDER BY l.idx")).mappings().all()


def an_event():
    """Return a sequenced item.write that is not the last of its chain."""
    writes = [row for row in stored() if b"item.write" in bytes(row["body"])]
    return writes[1]


def edit(row, *, with_key=False, body=None):
    """Edit an event and recompute its hash, with the real MAC key or another one."""
    body = body or bytes(row["body"]).replace(b'"item"', b'"ITEM"').replace(b'"ok"', b'"no"')
    key = keyring.current().audit.current if with_key else b"x" * 32
    mac, event_hash = chain.link(key, bytes(row["prev_hash"]), body)
    change(
        "UPDATE audit_event SET body = :b, mac = :m, event_hash = :h, out = 'no'"
        " WHERE writer_seq = :n AND writer_id = :w",
        b=body, m=mac, h=event_hash, n=row["writer_seq"], w=bytes(row["writer_id"]),
    )  # fmt: skip


def rebuild_chain(row):
    """Relink the later events of a writer with the MAC key."""
    with db.engine.connect() as connection:
        later = connection.execute(
            sa.text(
                "SELECT writer_seq, body, event_hash FROM audit_event WHERE writer_id = :w"
                " AND writer_seq >= :n ORDER BY writer_seq"
            ),
            {"w": bytes(row["writer_id"]), "n": row["writer_seq"]},
        ).all()
    head = bytes(later[0].event_hash)
    for one in later[1:]:
        mac, event_hash = chain.link(keyring.current().audit.current, head, bytes(one.body))
        change(
            "UPDATE audit_event SET prev_hash = :p, mac = :m, event_hash = :h"
            " WHERE writer_id = :w AND writer_seq = :n",
            p=head, m=mac, h=event_hash, w=bytes(row["writer_id"]), n=one.writer_seq,
        )  # fmt: skip
        head = event_hash


def rebuild_tree(*, sign=True):
    """Rebuild tree 1 from the events, and sign it with the signing key."""
    with reading() as session:
        rows = session.execute(
            sa.text(
                "SELECT e.event_hash, e.sub, l.event_id FROM audit_leaf l JOIN audit_event e"
                " ON e.event_id = l.event_id WHERE l.epoch = 1 ORDER BY l.idx"
            )
        ).all()
    for table in ("leaf", "node", "subject"):
        change(f"DELETE FROM audit_{table}")
    if sign:
        change("DELETE FROM audit_checkpoint")
    edge, ends = Frontier(), {}
    with transaction() as session:
        leaves = [
            tree.Leaf(UUID(str(row.event_id)), bytes(row.event_hash), merkle.subject_tag(row.sub))
            for row in rows
        ]
        tree.append(session, 1, edge, leaves, ends)
        subjects.write(session, ends)
        if sign:
            checkpoint = Checkpoint("localhost/audit", 1, edge.size, edge.root())
            note = signing.keys().checkpoint(checkpoint)
            checkpoints.add(session, checkpoint, note, clock.now())
    change("UPDATE audit_checkpoint SET anchored_to = '[]'")


def as_stored(event_id):
    return str(event_id) if db.engine.dialect.name == "postgresql" else event_id.hex
