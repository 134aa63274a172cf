"""Run all checks of the stored log in one read-only snapshot."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit import signing, tree
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditKeyChange, AuditLeaf, AuditPrune
from vaultr.audit.verification import chains
from vaultr.audit.verification.findings import Findings
from vaultr.audit.verification.trees import TreeCheck
from vaultr.database.base import Base, Fact
from vaultr.database.session import postgresql, reading
from vaultr.protocol import notes
from vaultr.protocol.merkle import Frontier
from vaultr.protocol.notes import Checkpoint, NoteInvalid, VerificationKey

_LOG_NAME: Final = "audit-origin"
_COMMITTED_SECONDS: Final = 60.0  # of lag, after which a verified log counts as lagging


@dataclass(frozen=True, slots=True)
class Options:
    """What to verify with.

    :ivar keys: the row keys by id; empty: MACs are not checked.
    :ivar anchors: signed notes from an anchor.
    :ivar cross: also compare with the business tables.
    :ivar since: the state of an earlier verification.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    anchors: Iterable[str] = ()
    cross: bool = False
    since: Mapping[str, Any] | None = None


@dataclass(slots=True)
class _Known:
    """What checkpoints, anchors and records say, before the trees are read."""

    signed: dict[int, dict[int, set[bytes]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    finals: dict[int, Checkpoint] = field(default_factory=dict)
    pruned: dict[int, Checkpoint] = field(default_factory=dict)
    pruned_until: datetime | None = None


def verify(options: Options) -> tuple[Findings, dict[str, Any]]:
    """Verify the log; return the findings, and the state for the next incremental run."""
    findings = Findings()
    with reading(snapshot=True) as session:
        if postgresql():
            session.execute(sa.text("SET TRANSACTION READ ONLY"))
            session.execute(sa.text("SET LOCAL statement_timeout = 0"))
        name = session.scalar(sa.select(Fact.value).where(Fact.name == _LOG_NAME))
        if name is None:
            findings.unverifiable("log", "the database has no audit log")
            return findings, {}
        known = _Known()
        _read_checkpoints(session, name.decode(), known, findings)
        _read_anchors(session, options.anchors, name.decode(), known, findings)
        state = _check_trees(session, options, known, findings)
        chains.check_writers(session, findings, pruned_until=known.pruned_until)
        chains.check_subjects(session, findings, pruned=bool(known.pruned))
        chains.check_membership(session, findings, now=clock.now())
        chains.check_pending(session, options.keys, findings)
        if options.cross:
            _check_business_rows(session, known, findings)
        _check_clock(session, findings)
    findings.lagging = findings.lag_seconds > _COMMITTED_SECONDS
    return findings, state


def _trusted(session: Session, log: str, findings: Findings) -> list[VerificationKey]:
    """Return the keys of CHECKPOINT_KEY; without it those that the log publishes, chained."""
    published = [key for _, key in signing.published(session)]
    own = signing.public_keys(log)
    changes = session.scalars(sa.select(AuditKeyChange.note).order_by(AuditKeyChange.epoch))
    trusted = list(own) or published[:1]
    for text in changes:
        found = False
        for old in [*trusted, *published]:
            try:
                change = notes.open_key_change(text, old, signing.verify)
            except NoteInvalid:
                continue
            found = True
            if change.key not in trusted:
                trusted.append(change.key)
            if old not in trusted:
                trusted.append(old)
            break
        if not found:
            findings.tampered("key-change", "a note of a key change is not signed by both keys")
    if not trusted:
        findings.unverifiable("key", "no verification key: set CHECKPOINT_KEY")
    return trusted


def _read_checkpoints(session: Session, log: str, known: _Known, findings: Findings) -> None:
    trusted = _trusted(session, log, findings)
    query = sa.select(AuditCheckpoint.epoch, AuditCheckpoint.size, AuditCheckpoint.note)
    query = query.order_by(AuditCheckpoint.epoch, AuditCheckpoint.size)
    for epoch, size, note in session.execute(query):
        checkpoint = _opened(note, log, trusted, findings)
        if checkpoint is None:
            continue
        if (checkpoint.epoch, checkpoint.size) != (epoch, size):
            findings.tampered("checkpoint", f"the checkpoint {epoch}/{size} says something else")
        known.signed[checkpoint.epoch][checkpoint.size].add(checkpoint.root)
        known.finals[checkpoint.epoch] = checkpoint
    for row in session.scalars(sa.select(AuditPrune)):
        final = _opened(row.checkpoint, log, trusted, findings)
        if final is not None:
            known.pruned[row.epoch] = final
            known.finals[row.epoch] = final
        recorded = session.scalar(
            sa.select(AuditEvent.typ).where(AuditEvent.event_id == row.event_id)
        )
        if recorded != "log.prune" and not _pruned(row.event_id, known):
            findings.tampered("prune", f"the prune of tree {row.epoch} has no event")
        until = known.pruned_until
        known.pruned_until = row.last_event_at if until is None else max(until, row.last_event_at)


def _pruned(event_id: UUID, known: _Known) -> bool:
    """Check whether an event of this id's time may have been pruned."""
    moment = clock.of_uuid7(event_id)
    until = known.pruned_until
    return moment is not None and until is not None and moment <= until


def _opened(
    note: str, log: str, trusted: list[VerificationKey], findings: Findings
) -> Checkpoint | None:
    try:
        return signing.opened(note, trusted, log)
    except NoteInvalid as error:
        if trusted:
            findings.tampered("checkpoint", f"a checkpoint does not verify: {error}")
        return None


def _read_anchors(
    session: Session, texts: Iterable[str], log: str, known: _Known, findings: Findings
) -> None:
    trusted = _trusted(session, log, findings)
    for text in texts:
        try:
            if notes.parse(text).text.startswith(f"{log}/{notes.KEY_CHANGE}\n"):
                continue
            checkpoint = signing.opened(text, trusted, log)
        except NoteInvalid as error:
            findings.tampered("anchor", f"an anchor does not verify: {error}")
            continue
        final = known.pruned.get(checkpoint.epoch)
        if final is None:
            known.signed[checkpoint.epoch][checkpoint.size].add(checkpoint.root)
        elif checkpoint.size > final.size or (
            checkpoint.size == final.size and checkpoint.root != final.root
        ):
            findings.tampered("anchor", f"an anchor contradicts the pruned tree {final.epoch}")


def _check_trees(
    session: Session, options: Options, known: _Known, findings: Findings
) -> dict[str, Any]:
    stored = set(session.scalars(sa.select(AuditLeaf.epoch).distinct()))
    state: dict[str, Any] = {}
    missing: set[str] = set()
    redacted: set[str] = set()
    for epoch in sorted(stored | set(known.signed)):
        if epoch in known.pruned:
            if epoch in stored:
                findings.warning(
                    "prune", f"the pruning of tree {epoch} is unfinished: run it again"
                )
            continue
        edge = _continued(options.since, epoch)
        if edge is None:
            continue
        check = TreeCheck(
            session, epoch, signed=known.signed.get(epoch, {}), keys=options.keys,
            findings=findings, edge=edge,
        )  # fmt: skip
        resumed = edge.size > 0
        check.run()
        findings.trees += 1
        missing |= check.committed
        redacted |= check.redacted
        if not resumed:
            _note_leaves(session, epoch, check, findings)
            _check_link(epoch, check.opening, known, findings)
        state = {"epoch": epoch, "size": check.edge.size, "hashes": check.edge.hex()}
    for event_id in sorted(missing - redacted - _redacted(session)):
        findings.tampered("detail", f"the detail of event {event_id} is gone without log.redact")
    _check_numbers(known, stored, findings)
    return state


def _continued(since: Mapping[str, Any] | None, epoch: int) -> Frontier | None:
    """Return where to begin in a tree; None if it was verified before."""
    if since is None or epoch > int(since["epoch"]):
        return Frontier()
    if epoch < int(since["epoch"]):
        return None
    return Frontier(int(since["size"]), [bytes.fromhex(one) for one in since["hashes"]])


def _redacted(session: Session) -> set[str]:
    bodies = session.scalars(sa.select(AuditEvent.body).where(AuditEvent.typ == "log.redact"))
    return {str((json.loads(body).get("obj") or {}).get("id")) for body in bodies}


def _note_leaves(session: Session, epoch: int, check: TreeCheck, findings: Findings) -> None:
    """Check the leaves that no checkpoint of the previous tree covers, after a reopen."""
    obj = (check.opening or {}).get("obj") or {}
    if "leaves" not in obj:
        return
    before, size = int(obj["previous_epoch"]), int(obj["leaves"])
    try:
        root = tree.root(session, before, size)
    except KeyError:
        root = b""
    if notes.encode(root) != obj.get("root"):
        says = f"tree {before} differs from what tree {epoch} says about it"
        findings.tampered("link", says, epoch=epoch, index=0)


def _check_link(
    epoch: int, opening: Mapping[str, Any] | None, known: _Known, findings: Findings
) -> None:
    """Check that a tree begins with log.epoch.open and names the previous final checkpoint."""
    obj = (opening or {}).get("obj") or {}
    if opening is None or opening.get("typ") != "log.epoch.open" or obj.get("epoch") != epoch:
        findings.tampered(
            "link", "a tree does not begin with its log.epoch.open", epoch=epoch, index=0
        )
        return
    before = known.finals.get(epoch - 1)
    if epoch == 1 or before is None:
        return
    try:
        named = Checkpoint.parse(notes.parse(str(obj.get("previous"))).text)
    except NoteInvalid:
        named = None
    if named != before:
        says = f"tree {epoch} names another final checkpoint of tree {epoch - 1}"
        findings.tampered("link", says, epoch=epoch, index=0)


def _check_numbers(known: _Known, stored: set[int], findings: Findings) -> None:
    """Check that no tree is missing without a record; `reopen` may have skipped numbers."""
    trees = stored | set(known.pruned)
    if trees and min(trees) != 1 and not known.pruned:
        findings.unverifiable("prune", f"the trees before {min(trees)} are gone without a record")


def _check_business_rows(session: Session, known: _Known, findings: Findings) -> None:
    """Check that each row with an audit_event_id has its event."""
    for table in Base.metadata.sorted_tables:
        column = table.columns.get("audit_event_id")
        if column is None:
            continue
        stored = sa.exists().where(AuditEvent.event_id == column)
        for event_id in session.scalars(sa.select(column).where(column.is_not(None), ~stored)):
            if not _pruned(event_id, known):
                findings.tampered(
                    "cross", f"{table.name} names the event {event_id}, which is gone"
                )


def _check_clock(session: Session, findings: Findings) -> None:
    """Warn of events from the future: the clock of a server was ahead."""
    newest = session.scalar(sa.select(sa.func.max(AuditEvent.t)))
    if newest is not None and (newest - clock.now()).total_seconds() > _COMMITTED_SECONDS:
        findings.warning("clock", "an event is from the future: was a clock ahead?")
