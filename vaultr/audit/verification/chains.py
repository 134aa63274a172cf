"""Check the chains of writers and subjects, and that events, leaves and pending rows match.

The database compares neighbouring events and returns only mismatches. It compares stored hashes,
which `trees` has recomputed before.
"""

from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import chain, pending
from vaultr.audit.models import AuditEvent, AuditLeaf, AuditPending, AuditSubject
from vaultr.audit.verification.findings import MOST_LISTED, Findings
from vaultr.protocol import merkle

_MOST: Final = MOST_LISTED


def check_writers(session: Session, findings: Findings, *, pruned_until: datetime | None) -> None:
    """Check that each writer's chain has no gap, is linked and is in order of time.

    :param pruned_until: the time of the last pruned event; older chains may begin above 0.
    """
    event = AuditEvent
    order: Any = {"partition_by": (event.epoch, event.writer_id), "order_by": event.writer_seq}
    before = sa.select(
        event.event_id, event.writer_id, event.writer_seq, event.prev_hash, event.typ, event.t,
        sa.func.lag(event.event_hash).over(**order).label("before_hash"),
        sa.func.lag(event.writer_seq).over(**order).label("before_seq"),
        sa.func.lag(event.t).over(**order).label("before_t"),
    ).subquery()  # fmt: skip
    column = before.c
    first = column.before_seq.is_(None)
    above: Any = sa.and_(first, column.writer_seq > 0)
    if pruned_until is not None:  # filtered in SQL, so that these rows do not use up the limit
        above = sa.and_(above, column.t < pruned_until)
    wrong = sa.or_(
        above,
        sa.and_(first, column.writer_seq == 0, column.typ != "writer.start"),
        column.writer_seq != column.before_seq + 1,
        column.prev_hash != column.before_hash,
        column.t <= column.before_t,
    )
    broken = sa.select(column.event_id, column.writer_id, column.writer_seq).where(wrong)
    for row in session.execute(broken.limit(_MOST)).mappings():
        place = f"{row['writer_id'].hex()}/{row['writer_seq']}"
        findings.tampered("writer", f"the chain of writer {place} is broken at {row['event_id']}")
    starts = sa.select(event.writer_id, event.prev_hash).where(event.writer_seq == 0)
    for writer_id, prev in session.execute(starts).yield_per(1000):
        if prev != chain.genesis(writer_id):
            findings.tampered("writer", f"the chain of writer {writer_id.hex()} has another start")


def check_subjects(session: Session, findings: Findings, *, pruned: bool) -> None:
    """Check that each subject's chain of leaves has no gap and is linked."""
    leaf = AuditLeaf
    order: Any = {"partition_by": leaf.subject_tag, "order_by": leaf.subject_seq}
    before = sa.select(
        leaf.epoch, leaf.idx, leaf.subject_seq, leaf.subject_prev,
        sa.func.lag(leaf.leaf_hash).over(**order).label("before_hash"),
        sa.func.lag(leaf.subject_seq).over(**order).label("before_seq"),
    ).subquery()  # fmt: skip
    column = before.c
    first = column.before_seq.is_(None)
    begins = sa.or_(column.subject_seq != 0, column.subject_prev != merkle.NO_LEAF)
    wrong = sa.or_(
        column.subject_seq != column.before_seq + 1,
        column.subject_prev != column.before_hash,
        sa.and_(first, begins) if not pruned else sa.false(),
    )
    for row in session.execute(sa.select(before).where(wrong).limit(_MOST)).mappings():
        findings.tampered(
            "subject",
            "a subject's chain is broken",
            epoch=row["epoch"],
            index=row["idx"],
        )
    _check_ends(session, findings, pruned=pruned)


def _check_ends(session: Session, findings: Findings, *, pruned: bool) -> None:
    """Check that `audit_subject`, from which the sequencer continues, names the last leaves."""
    leaf, end = AuditLeaf, AuditSubject
    same = sa.and_(leaf.subject_seq == end.last_seq, leaf.leaf_hash == end.last_leaf_hash)
    fits = sa.func.max(sa.case((same, 1), else_=0))
    differs = (
        sa.select(leaf.subject_tag)
        .outerjoin(end, end.subject_tag == leaf.subject_tag)
        .group_by(leaf.subject_tag, end.last_seq)
        .having(
            sa.or_(end.last_seq.is_(None), fits == 0, sa.func.max(leaf.subject_seq) != end.last_seq)
        )
    )
    for tag in session.scalars(differs.limit(_MOST)):
        says = f"audit_subject does not name the last leaf of subject {tag.hex()}"
        findings.tampered("subject", says)
    if pruned:  # all leaves of a subject may be in a pruned tree
        return
    unknown = sa.select(end.subject_tag).where(
        ~sa.exists().where(leaf.subject_tag == end.subject_tag)
    )
    for tag in session.scalars(unknown.limit(_MOST)):
        findings.tampered("subject", f"audit_subject names subject {tag.hex()}, which has no leaf")


def check_membership(session: Session, findings: Findings, *, now: datetime) -> None:
    """Check that each event has either a leaf or a pending row, and each pending row an event."""
    event, leaf, waiting = AuditEvent, AuditLeaf, AuditPending
    in_tree = sa.exists().where(leaf.event_id == event.event_id)
    waits = sa.exists().where(waiting.event_id == event.event_id)
    lost = sa.select(event.event_id).where(~in_tree, ~waits).limit(_MOST)
    for event_id in session.scalars(lost):
        findings.tampered("event", f"event {event_id} is neither in a tree nor pending")
    both = sa.select(waiting.event_id).join(leaf, leaf.event_id == waiting.event_id).limit(_MOST)
    for event_id in session.scalars(both):
        findings.tampered("pending", f"event {event_id} is in a tree and pending")
    stored = sa.exists().where(event.event_id == waiting.event_id)
    for event_id in session.scalars(sa.select(waiting.event_id).where(~stored).limit(_MOST)):
        findings.tampered("pending", f"the pending event {event_id} is missing")
    oldest = session.scalar(
        sa.select(sa.func.min(event.t)).join(waiting, waiting.event_id == event.event_id)
    )
    if oldest is not None:
        findings.lag_seconds = max(findings.lag_seconds, (now - oldest).total_seconds())


def check_pending(session: Session, keys: Any, findings: Findings) -> None:
    """Check MAC, hash and columns of pending events."""
    event = AuditEvent
    query: Any = (
        sa.select(
            event.event_id, event.writer_id, event.writer_seq, event.prev_hash, event.body,
            event.mac, event.event_hash, event.sub, event.act, event.typ, event.out, event.t,
        )
        .join(AuditPending, AuditPending.event_id == event.event_id)
        .execution_options(yield_per=1000)
    )  # fmt: skip
    for members in session.execute(query).mappings():
        row = SimpleNamespace(**members)
        reason = pending.altered(row, keys) if keys else pending.altered_columns(row)
        if reason is not None:
            says = f"the pending event {row.event_id} was changed: {reason}"
            findings.tampered("pending", says)
