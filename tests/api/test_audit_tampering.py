"""The detection matrix: what somebody with all rights to the database does, and what finds it."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests import factories
from tests.harness import audit_failures, audit_log
from vaultr import clock
from vaultr.audit import (
    chain,
    checkpoints,
    self_audit,
    sequencer,
    service,
    signing,
    state_file,
    transaction_hooks,
    tree,
)
from vaultr.audit.errors import AuditUnavailable, NothingToReopen
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent
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


@pytest.fixture
def here(app):
    with app.app_context():
        yield app


@pytest.fixture
def log(here):
    """A log of some events, all sequenced, whose anchor is known."""
    for account in (ANN, BOB, ANN, BOB, ANN):
        record(account)
    audit_log.sequence_all()
    return here


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
    """Verify, and return which checks found tampering."""
    return {one.check for one in verify(*anchors, **more).listed if one.kind == "tampered"}


def change(statement, **values):
    with db.engine.begin() as connection:
        return connection.execute(sa.text(statement), values).rowcount


def stored():
    with db.engine.connect() as connection:
        return connection.execute(sa.text(HEAD + "ORDER BY l.idx")).mappings().all()


def an_event():
    """A sequenced item.write that is not the last of its chain."""
    writes = [row for row in stored() if b"item.write" in bytes(row["body"])]
    return writes[1]


def edit(row, *, with_key=False, body=None):
    """Edit an event; hash it again, with the real MAC key or with another."""
    body = body or bytes(row["body"]).replace(b'"item"', b'"ITEM"').replace(b'"ok"', b'"no"')
    key = keyring.current().audit.current if with_key else b"x" * 32
    mac, event_hash = chain.link(key, bytes(row["prev_hash"]), body)
    change(
        "UPDATE audit_event SET body = :b, mac = :m, event_hash = :h, out = 'no'"
        " WHERE writer_seq = :n AND writer_id = :w",
        b=body, m=mac, h=event_hash, n=row["writer_seq"], w=bytes(row["writer_id"]),
    )  # fmt: skip


def rebuild_chain(row):
    """Link the later events of a writer again, with the MAC key."""
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
    """Build tree 1 again from the events, and sign it with the signing key."""
    with reading() as session:
        rows = session.execute(
            sa.text(
                "SELECT e.event_hash, e.sub, l.event_id FROM audit_leaf l JOIN audit_event e"
                " ON e.event_id = l.event_id WHERE l.epoch = 1 ORDER BY l.idx"
            )
        ).all()
    change("DELETE FROM audit_leaf")
    change("DELETE FROM audit_node")
    if sign:
        change("DELETE FROM audit_checkpoint")
    edge, ends = Frontier(), {}
    with transaction() as session:
        leaves = [
            tree.Leaf(UUID(str(row.event_id)), bytes(row.event_hash), merkle.subject_tag(row.sub))
            for row in rows
        ]
        tree.append(session, 1, edge, leaves, ends)
        if sign:
            checkpoint = Checkpoint("localhost/audit", 1, edge.size, edge.root())
            note = signing.keys().checkpoint(checkpoint)
            checkpoints.add(session, checkpoint, note, clock.now())
    change("UPDATE audit_checkpoint SET anchored_to = '[]'")


def test_untouched_log_verifies(log):
    findings = verify(anchor(), cross=True)

    assert (findings.exit_code, findings.listed) == (0, [])
    assert findings.events == len(stored())


def test_edited_body_is_found(log):
    row = an_event()
    change("UPDATE audit_event SET body = :b WHERE writer_seq = :n", b=b"{}", n=row["writer_seq"])

    found = verify()

    assert {"leaf", "hash", "mac"} <= {one.check for one in found.listed}
    assert found.exit_code == 1
    assert found.first_bad == (1, row["idx"])


@pytest.mark.parametrize("with_key", [False, True])
def test_edited_and_rehashed_event_is_found(log, with_key):
    edit(an_event(), with_key=with_key)

    assert {"leaf", "writer"} <= checks()


@pytest.mark.parametrize("anchored", [False, True])
def test_edit_with_rebuilt_tree_is_found(log, anchored):
    known = [anchor()] if anchored else []
    edit(an_event(), with_key=True)
    rebuild_tree()

    found = checks(*known)

    assert "writer" in found
    assert ("root" in found) == anchored


def test_rebuilt_chain_and_tree_are_found_by_the_anchor(log):
    known, row = anchor(), an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()

    assert checks(known) == {"root"}


def test_rebuilt_chain_and_tree_without_any_anchor_are_missed(log):
    """This is what anchors are for, and the documentation says it."""
    row = an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()

    assert checks() == set()


def test_the_signer_itself_rejects_a_rebuilt_tree(log):
    row = an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()
    record()
    with time_machine.travel(clock.now() + timedelta(seconds=2)):
        sequencer.sequence()

    assert sequencer.current().halted == "database-forked"


@pytest.mark.parametrize("rebuilt", [False, True])
def test_deleted_event_is_found(log, rebuilt):
    known, row = anchor(), an_event()
    change("DELETE FROM audit_event WHERE event_id = :e", e=row["event_id"])
    if rebuilt:
        rebuild_tree()

    assert checks(known) >= ({"writer", "truncated"} if rebuilt else {"event", "writer"})


def test_deleted_pending_event_in_mid_chain_is_found(log):
    event_id = record()
    record()
    for table in ("audit_pending", "audit_event"):
        change(f"DELETE FROM {table} WHERE event_id = :e", e=as_stored(event_id))

    assert "writer" in checks()


def as_stored(event_id):
    return str(event_id) if db.engine.dialect.name == "postgresql" else event_id.hex


def test_deleted_tail_event_with_a_business_row_is_found(log):
    factories.owner("tail@example.org")
    account = db.session.execute(
        sa.text("SELECT audit_event_id FROM accounts WHERE email = 'tail@example.org'")
    ).scalar_one()
    db.session.rollback()
    for table in ("audit_pending", "audit_event"):
        change(f"DELETE FROM {table} WHERE event_id = :e", e=account)

    assert "cross" in checks(cross=True)


@pytest.mark.parametrize("event_id", [UUID(int=0), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")])
def test_business_row_naming_an_impossible_event_is_found(log, event_id):
    factories.owner("odd@example.org")
    change("UPDATE accounts SET audit_event_id = :e", e=event_id)

    assert "cross" in checks(cross=True)


def test_trigger_that_drops_one_insert_fails_the_change(log):
    with audit_failures.put("lost"), pytest.raises(AuditUnavailable):
        record()


def test_writer_whose_events_vanish_is_found_by_the_self_audit(log):
    record()
    change("DELETE FROM audit_pending")
    change("DELETE FROM audit_event WHERE event_id NOT IN (SELECT event_id FROM audit_leaf)")

    self_audit.run()

    assert self_audit.missing_events() == 1


def test_forged_event_without_the_mac_key_is_found(log):
    row = stored()[-1]
    body = bytes(row["body"]).replace(b'"ok"', b'"no"')
    mac, event_hash = chain.link(b"x" * 32, bytes(row["event_hash"]), body)
    with transaction() as session:
        last = session.get(AuditEvent, UUID(str(row["event_id"])))
        session.add(
            AuditEvent(
                event_id=uuid4(), epoch=last.epoch, writer_id=last.writer_id,
                writer_seq=last.writer_seq + 50, prev_hash=last.event_hash, body=body, mac=mac,
                event_hash=event_hash, sub=last.sub, act=last.act, typ=last.typ, out="no",
                t=last.t + timedelta(seconds=1),
            )
        )  # fmt: skip

    assert "event" in checks()


def test_swapped_leaves_are_found(log):
    change("UPDATE audit_leaf SET idx = 1000 WHERE idx = 3")
    change("UPDATE audit_leaf SET idx = 3 WHERE idx = 4")
    change("UPDATE audit_leaf SET idx = 4 WHERE idx = 1000")

    assert "leaf" in checks()


def test_reattributed_subject_is_found(log):
    row = an_event()
    tag = merkle.subject_tag(str(UUID(int=9)))
    change("UPDATE audit_leaf SET subject_tag = :t WHERE idx = :i", t=tag, i=row["idx"])
    change("UPDATE audit_event SET sub = 'x' WHERE event_id = :e", e=row["event_id"])

    assert {"leaf", "column", "subject"} <= checks()


def test_hidden_leaf_with_renumbering_is_found(log):
    row = an_event()
    change("DELETE FROM audit_leaf WHERE idx = :i", i=row["idx"])
    for at in range(row["idx"] + 1, len(stored()) + 2):
        change("UPDATE audit_leaf SET idx = :n WHERE idx = :i", n=at - 1, i=at)

    assert {"leaf", "event"} <= checks()


def test_restored_backup_is_found_by_anchor_and_signer(log):
    size = len(stored())
    record(ANN)
    audit_log.sequence_all()
    known = anchor()
    change(
        "DELETE FROM audit_event WHERE event_id IN"
        " (SELECT event_id FROM audit_leaf WHERE idx >= :s)",
        s=size,
    )
    change("DELETE FROM audit_leaf WHERE idx >= :s", s=size)
    change("DELETE FROM audit_node")
    change("DELETE FROM audit_checkpoint WHERE size > :s", s=size)
    rebuild_tree(sign=False)

    sequencer.sequence()

    assert sequencer.current().halted == "database-restored"
    assert checks(known) == {"truncated"}


def test_reopen_opens_a_tree_that_names_the_restore(log):
    size = len(stored())
    record(ANN)
    audit_log.sequence_all()
    note = state_file.read()
    change(
        "DELETE FROM audit_event WHERE event_id IN"
        " (SELECT event_id FROM audit_leaf WHERE idx >= :s)",
        s=size,
    )
    change("DELETE FROM audit_leaf WHERE idx >= :s", s=size)
    change("DELETE FROM audit_checkpoint WHERE size > :s", s=size)
    rebuild_tree(sign=False)

    transaction_hooks.pool().forget()  # servers start again after a restore
    opened = sequencer.reopen("backup of Tuesday", by="ann")
    audit_log.sequence_all()

    assert opened.epoch == 2
    with reading() as session:
        event = session.scalar(
            sa.select(AuditEvent).where(AuditEvent.act == "ann", AuditEvent.typ == "log.epoch.open")
        )
    body = json.loads(event.body)
    assert body["obj"]["reason"] == "backup of Tuesday"
    assert body["obj"]["signer"] == note
    assert checks() == set()


def test_reopen_of_a_consistent_log_is_rejected(log):
    with pytest.raises(NothingToReopen):
        sequencer.reopen("why not", by="ann")
