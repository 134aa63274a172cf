"""Run all checks of the stored log in one read-only snapshot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit import chain, pending, tree
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.audit.verification import chains, trust
from vaultr.audit.verification import known as known_trees
from vaultr.audit.verification.findings import Findings
from vaultr.audit.verification.known import Known
from vaultr.audit.verification.links import Links
from vaultr.audit.verification.records import Records
from vaultr.audit.verification.trees import TreeCheck
from vaultr.database.base import Base, Fact
from vaultr.database.session import postgresql, reading
from vaultr.protocol.merkle import Frontier

_LOG_NAME: Final = "audit-origin"
_COMMITTED_SECONDS: Final = 60.0  # seconds of lag after which a verified log counts as lagging


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a verification.

    :ivar keys: the row keys by id; if empty, MACs are not checked.
    :ivar anchors: signed notes from an anchor.
    :ivar cross: also compare with the business tables.
    :ivar since: the state of an earlier verification.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    anchors: Iterable[str] = ()
    cross: bool = False
    since: Mapping[str, Any] | None = None


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
        known = known_trees.read(
            session, trust.read(session, name.decode(), findings), options.anchors, findings
        )
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


def check_state(state: Mapping[str, Any]) -> None:
    """Check that a state is complete.

    :raises KeyError, TypeError, ValueError: it is not complete.
    """
    if state:
        since = _Since.of(state)
        Frontier(since.size, since.hashes)


def _check_trees(
    session: Session, options: Options, known: Known, findings: Findings
) -> dict[str, Any]:
    """Check all trees that no earlier run has verified; return the state for the next run."""
    since = _Since.of(options.since)
    stored = set(session.scalars(sa.select(AuditLeaf.epoch).distinct()))
    trees = stored | set(known.pruned) | set(known.finals)
    records = Records(findings, since.holds)
    links = Links(session, known, trees, findings)
    unpruned = (stored | set(known.finals)) - set(known.pruned)
    sizes = {epoch: tree.size(session, epoch) for epoch in unpruned}
    missing: set[str] = set()
    last: TreeCheck | None = None
    for epoch in sorted(stored & set(known.pruned)):
        findings.warning("prune", f"the pruning of tree {epoch} is unfinished: run it again")
    for epoch in sorted(stored - set(known.pruned)):
        if epoch < since.epoch:
            continue
        last = TreeCheck(
            session, epoch, signed=known.signed.get(epoch, {}), keys=options.keys,
            findings=findings, records=records, edge=since.edge(session, epoch, findings),
        )  # fmt: skip
        resumed = last.edge.size > 0
        last.run()
        findings.trees += 1
        missing |= last.committed
        if not resumed:
            links.take(epoch, last.opening)
    since.check_trees(trees, findings)
    links.check_numbers()
    links.check_sizes(sizes)
    records.check_holds(session)
    for event_id in sorted(missing - records.redacted - _redacted(session)):
        findings.tampered(
            "detail", f"the detail of event {event_id} is missing, and no log.redact names it"
        )
    if last is None:
        return dict(options.since or {})
    _note_uncovered(last, findings)
    return since.next(last, trees, records)


def _note_uncovered(last: TreeCheck, findings: Findings) -> None:
    """Count leaves that no checkpoint covers as lag."""
    if last.uncovered_at is not None:
        age = (clock.now() - last.uncovered_at).total_seconds()
        findings.lag_seconds = max(findings.lag_seconds, age)


@dataclass(frozen=True, slots=True)
class _Since:
    """The state of an earlier verification.

    :ivar epoch: the tree where to continue; 0 for the first one.
    """

    epoch: int = 0
    size: int = 0
    hashes: tuple[bytes, ...] = ()
    trees: frozenset[int] = frozenset()
    holds: frozenset[str] = frozenset()

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> "_Since":
        if not state:
            return cls()
        return cls(
            int(state["epoch"]), int(state["size"]), tuple(map(bytes.fromhex, state["hashes"])),
            frozenset(map(int, state["trees"])), frozenset(map(str, state["holds"])),
        )  # fmt: skip

    def edge(self, session: Session, epoch: int, findings: Findings) -> Frontier:
        """Return the frontier to start from; the leaves before must be those already verified."""
        if epoch != self.epoch:
            return Frontier()
        try:
            stored = tree.frontier(session, epoch, self.size)
        except KeyError:
            stored = Frontier()
        if stored.hex() == [node.hex() for node in self.hashes]:
            return stored
        says = f"tree {epoch} is shorter than at the last verification, or another one"
        findings.tampered("since", says, epoch=epoch, index=0)
        return Frontier()

    def check_trees(self, trees: set[int], findings: Findings) -> None:
        """Check that every tree of the last verification still exists, or was pruned."""
        for epoch in sorted(self.trees - trees):
            says = f"tree {epoch}, which the last verification has read, is missing"
            findings.tampered("since", says)

    def next(self, last: TreeCheck, trees: set[int], records: Records) -> dict[str, Any]:
        """Return the state for the next run."""
        return {
            "epoch": last.epoch, "size": last.edge.size, "hashes": last.edge.hex(),
            "trees": sorted(trees), "holds": sorted(records.holds),
        }  # fmt: skip


def _redacted(session: Session) -> set[str]:
    """Return the events whose redaction is recorded, even by a pending event."""
    bodies = session.scalars(sa.select(AuditEvent.body).where(AuditEvent.typ == "log.redact"))
    return {str((chain.object_of(body, "log.redact") or {}).get("id")) for body in bodies}


def _check_business_rows(session: Session, known: Known, findings: Findings) -> None:
    """Check that the event of each row with an audit_event_id exists."""
    for table in Base.metadata.sorted_tables:
        column = table.columns.get("audit_event_id")
        if column is None:
            continue
        stored = sa.exists().where(AuditEvent.event_id == column)
        for event_id in session.scalars(sa.select(column).where(column.is_not(None), ~stored)):
            if not known.may_have_pruned(event_id):
                findings.tampered(
                    "cross", f"{table.name} names the event {event_id}, which is gone"
                )


def _check_clock(session: Session, findings: Findings) -> None:
    """Warn about events from the future: a server's clock was ahead."""
    possible = AuditEvent.t.between(*pending.TIMES)
    newest = session.scalar(sa.select(sa.func.max(AuditEvent.t)).where(possible))
    if newest is not None and (newest - clock.now()).total_seconds() > _COMMITTED_SECONDS:
        findings.warning(
            "clock", "an event has a time in the future; check the clocks of the servers"
        )
