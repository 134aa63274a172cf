"""Read checkpoints, anchors and prune records, with which the trees are compared."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit import chain
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditPrune
from vaultr.audit.verification.findings import Findings
from vaultr.audit.verification.trust import Trust
from vaultr.protocol import notes
from vaultr.protocol.notes import Checkpoint, NoteInvalid


@dataclass(slots=True)
class Known:
    """The statements of checkpoints, anchors and prune records about the trees.

    :ivar signed: the roots in checkpoints and anchors, by tree and size.
    :ivar anchored: the newest anchored size of each tree.
    :ivar finals: the last stored checkpoint of each tree, including pruned ones.
    :ivar pruned: the final checkpoint of each tree whose prune is recorded.
    :ivar pruned_until: the time of the last event that was pruned.
    """

    signed: dict[int, dict[int, set[bytes]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    anchored: dict[int, int] = field(default_factory=dict)
    finals: dict[int, Checkpoint] = field(default_factory=dict)
    pruned: dict[int, Checkpoint] = field(default_factory=dict)
    pruned_until: datetime | None = None

    def may_have_pruned(self, event_id: UUID) -> bool:
        """Check whether an event from the time of this id may have been pruned."""
        moment, until = clock.of_uuid7(event_id), self.pruned_until
        return moment is not None and until is not None and moment <= until


def read(session: Session, trust: Trust, anchors: Iterable[str], findings: Findings) -> Known:
    """Read checkpoints, prune records and anchors."""
    known = Known()
    _read_checkpoints(session, trust, known, findings)
    _read_prunes(session, trust, known, findings)
    read_anchors(trust, anchors, known, findings)
    return known


def _read_checkpoints(session: Session, trust: Trust, known: Known, findings: Findings) -> None:
    trusted_trees: set[int] = set()
    other_trees: set[int] = set()
    query = sa.select(AuditCheckpoint.epoch, AuditCheckpoint.size, AuditCheckpoint.note)
    query = query.order_by(AuditCheckpoint.epoch, AuditCheckpoint.size)
    for epoch, size, note in session.execute(query):
        found = _opened(note, trust, findings, "checkpoint")
        if found is None:
            continue
        checkpoint, trusted = found
        if (checkpoint.epoch, checkpoint.size) != (epoch, size):
            findings.tampered("checkpoint", f"the checkpoint {epoch}/{size} does not match its row")
        (trusted_trees if trusted else other_trees).add(checkpoint.epoch)
        known.signed[checkpoint.epoch][checkpoint.size].add(checkpoint.root)
        known.finals[checkpoint.epoch] = checkpoint
    check_untrusted(other_trees, trusted_trees, findings)
    if known.finals and not trust.published:
        says = "the log publishes no key: users cannot verify it"
        findings.tampered("key", says)


def check_untrusted(other_trees: set[int], trusted_trees: set[int], findings: Findings) -> None:
    """Check trees that no trusted key signed: a tree that a trusted key signed must follow.

    Each tree begins with the previous tree's final checkpoint, so the later tree commits to it.

    :param other_trees: trees with a checkpoint that a published, but not trusted key signed.
    :param trusted_trees: trees with a checkpoint that a trusted key signed.
    """
    for epoch in sorted(other_trees):
        if epoch in trusted_trees or epoch > max(trusted_trees, default=0):
            findings.tampered(
                "checkpoint", f"a checkpoint of tree {epoch} is not signed by CHECKPOINT_KEY"
            )
        else:
            says = f"no note introduces the key of tree {epoch}; the next tree confirms it"
            findings.warning("key", says)


def _opened(
    note: str, trust: Trust, findings: Findings, check: str
) -> tuple[Checkpoint, bool] | None:
    try:
        return trust.opened(note)
    except NoteInvalid as error:
        if trust.trusted:
            article = "an anchor" if check == "anchor" else "a checkpoint"
            findings.tampered(check, f"{article} does not verify: {error}")
        return None


def _read_prunes(session: Session, trust: Trust, known: Known, findings: Findings) -> None:
    """Check, newest first, that the log records each prune exactly as its row states.

    Trees are pruned oldest first, so a later prune may have deleted the event of an earlier one.
    """
    for row in session.scalars(sa.select(AuditPrune).order_by(AuditPrune.epoch.desc())):
        found = _opened(row.checkpoint, trust, findings, "checkpoint")
        if found is None:
            continue
        final, _ = found
        event = session.get(AuditEvent, row.event_id)
        if event is None:
            recorded = known.may_have_pruned(row.event_id)
        else:
            recorded = chain.object_of(event.body, "log.prune") == expected(row, final)
        if not recorded or final.epoch != row.epoch:
            says = f"the log has no record of pruning tree {row.epoch} as audit_prune says"
            findings.tampered("prune", says)
            continue
        known.pruned[row.epoch] = known.finals[row.epoch] = final
        until = known.pruned_until
        known.pruned_until = row.last_event_at if until is None else max(until, row.last_event_at)


def expected(row: AuditPrune, final: Checkpoint) -> dict[str, Any]:
    """Return the object of the event that records a prune."""
    return {
        "kind": "tree", "epoch": row.epoch, "size": final.size, "checkpoint": row.checkpoint,
        "last_event_at": clock.text(row.last_event_at),
    }  # fmt: skip


def read_anchors(trust: Trust, texts: Iterable[str], known: Known, findings: Findings) -> None:
    """Read the roots in the anchors."""
    for text in texts:
        try:
            if notes.parse(text).text.startswith(f"{trust.log}/{notes.KEY_CHANGE}\n"):
                continue
        except NoteInvalid as error:
            findings.tampered("anchor", f"an anchor does not verify: {error}")
            continue
        found = _opened(text, trust, findings, "anchor")
        if found is not None:
            _add_anchor(found[0], known, findings)


def _add_anchor(checkpoint: Checkpoint, known: Known, findings: Findings) -> None:
    epoch, size = checkpoint.epoch, checkpoint.size
    final = known.pruned.get(epoch)
    if final is None:
        known.signed[epoch][size].add(checkpoint.root)
        known.anchored[epoch] = max(size, known.anchored.get(epoch, 0))
    elif size > final.size or (size == final.size and checkpoint.root != final.root):
        findings.tampered("anchor", f"an anchor contradicts the pruned tree {epoch}")
