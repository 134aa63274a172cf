"""Proofs for users: that events are in a tree, and that a tree extends an older one."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit import checkpoints, log_name, signing, tree
from vaultr.audit.checkpoints import Published
from vaultr.audit.errors import (
    EpochUnknown,
    EventNotFound,
    LogDamaged,
    NotSequencedYet,
    SizeInvalid,
)
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPending, AuditPrune
from vaultr.database.session import reading
from vaultr.errors import Gone
from vaultr.observability import logs
from vaultr.protocol import merkle, notes
from vaultr.protocol.encoding import b64
from vaultr.protocol.notes import Proof

FORMAT: Final = "vaultr-audit/1"
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Proven:
    """An event, its leaf, and the proof that a checkpoint covers it."""

    event: AuditEvent
    leaf: AuditLeaf
    proof: str

    @property
    def leaf_bytes(self) -> bytes:
        """The bytes that were hashed."""
        leaf = self.leaf
        return merkle.leaf_bytes(
            leaf.idx, self.event.event_hash, leaf.subject_tag, leaf.subject_seq, leaf.subject_prev
        )


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """A published checkpoint, and the values that a client needs to verify it.

    :ivar opening: the first event of the tree, which names the previous tree; None for a pruned
        tree.
    """

    published: Published
    keys: list[str]
    key_changes: list[str]
    opening: Proven | None


def leaves_of(events: Sequence[AuditEvent]) -> dict[UUID, AuditLeaf]:
    """Return the leaves of events that a published checkpoint covers."""
    with reading() as session:
        ids = [event.event_id for event in events]
        found = session.scalars(sa.select(AuditLeaf).where(AuditLeaf.event_id.in_(ids))).all()
        covered: dict[int, int] = {}
        for epoch in {leaf.epoch for leaf in found}:
            newest = checkpoints.newest(session, epoch)
            covered[epoch] = newest.checkpoint.size if newest else 0
    return {leaf.event_id: leaf for leaf in found if leaf.idx < covered[leaf.epoch]}


def of_event(account_id: UUID, event_id: UUID) -> Proven:
    """Prove that an event of an account is in its tree.

    :raises EventNotFound: the account has no such event.
    :raises NotSequencedYet: no checkpoint covers it.
    :raises Gone: its tree was pruned.
    :raises LogDamaged: its tree lacks a record.
    """
    with reading(snapshot=True) as session:
        event = session.get(AuditEvent, event_id)
        if event is None:
            _check_pruned(session, event_id)
        if event is None or event.sub != str(account_id):
            raise EventNotFound
        leaf = session.scalar(sa.select(AuditLeaf).where(AuditLeaf.event_id == event_id))
        if leaf is None and session.get(AuditPending, event_id) is None:
            logs.warning("audit.damaged", event_id=str(event_id))
            raise LogDamaged
        newest = checkpoints.newest(session, leaf.epoch) if leaf is not None else None
        if leaf is None or newest is None or newest.checkpoint.size <= leaf.idx:
            raise NotSequencedYet
        [proven] = _prove(session, [(event, leaf)], newest)
    return proven


def _check_pruned(session: Session, event_id: UUID) -> None:
    """Raise an error if the id's time (a UUIDv7 begins with it) is in a pruned tree.

    :raises Gone: the tree was pruned. All ids of that time get this error, for every account.
    """
    moment = clock.of_uuid7(event_id)
    if moment is None:
        return
    query = sa.select(AuditPrune).where(AuditPrune.last_event_at >= moment)
    row = session.scalar(query.order_by(AuditPrune.epoch).limit(1))
    if row is not None:
        raise Gone(members={"checkpoint": row.checkpoint})


def _prove(
    session: Session, pairs: Sequence[tuple[AuditEvent, AuditLeaf]], newest: Published
) -> list[Proven]:
    """Prove events of one tree under one checkpoint, reading their nodes together.

    :raises LogDamaged: the tree lacks a record.
    """
    checkpoint, note = newest.checkpoint, notes.parse(newest.note)
    ranges = [merkle.inclusion_ranges(leaf.idx, checkpoint.size) for _, leaf in pairs]
    nodes = {node for some in ranges for one in some for node in merkle.complete_nodes(*one)}
    stored = tree.hashes(session, checkpoint.epoch, nodes)
    with _reporting_damage(checkpoint.epoch):
        return [
            Proven(event, leaf, str(Proof(leaf.idx, tuple(tree.folded(stored, some)), note)))
            for (event, leaf), some in zip(pairs, ranges, strict=True)
        ]


@contextlib.contextmanager
def _reporting_damage(epoch: int) -> Iterator[None]:
    """Turn a missing node of a tree into an error that names the cause.

    :raises LogDamaged: a node is missing, such as a leaf that was deleted from the database.
    """
    try:
        yield
    except KeyError as error:
        level, index = error.args[0]
        logs.warning("audit.damaged", epoch=epoch, node=f"{level}/{index}")
        raise LogDamaged from error


def checkpoint(epoch: int | None) -> CheckpointInfo:
    """Return the newest published checkpoint, of all trees or of one, even of a pruned one.

    :raises EpochUnknown: no such tree exists, or it has no checkpoint yet.
    :raises LogDamaged: the tree lacks a record.
    """
    with reading(snapshot=True) as session:
        found = checkpoints.newest(session, epoch)
        pruned = None if epoch is None else session.get(AuditPrune, epoch)
        if found is None and pruned is not None:
            found = checkpoints.of_note(pruned.checkpoint)
        if found is None:
            raise EpochUnknown
        opening = None if pruned is not None else _opening(session, found)
        keys = checkpoints.verification_keys(session, found.checkpoint.epoch)
        return CheckpointInfo(found, keys, checkpoints.key_changes(session), opening)


def _opening(session: Session, newest: Published) -> Proven:
    query = (
        sa.select(AuditEvent, AuditLeaf)
        .join(AuditLeaf, AuditLeaf.event_id == AuditEvent.event_id)
        .where(AuditLeaf.epoch == newest.checkpoint.epoch, AuditLeaf.idx == 0)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        logs.warning("audit.damaged", epoch=newest.checkpoint.epoch, node="0/0")
        raise LogDamaged
    return _prove(session, [(row[0], row[1])], newest)[0]


def consistency(epoch: int, first: int, second: int) -> list[bytes]:
    """Prove that a tree of ``second`` leaves extends the same tree with ``first`` leaves.

    :raises SizeInvalid: a size is beyond the published tree, or they are in the wrong order.
    :raises EpochUnknown: no such tree exists.
    :raises Gone: the tree was pruned.
    :raises LogDamaged: the tree lacks a record.
    """
    with reading(snapshot=True) as session:
        newest = checkpoints.newest(session, epoch)
        pruned = session.get(AuditPrune, epoch)
        if pruned is not None:
            raise Gone(members={"checkpoint": pruned.checkpoint})
        if newest is None:
            raise EpochUnknown
        if not 0 < first <= second:
            raise SizeInvalid("`from` is at least 1 and at most `to`.")
        if second > newest.checkpoint.size:
            raise SizeInvalid("`to` is beyond the newest checkpoint of this tree.")
        with _reporting_damage(epoch):
            return tree.consistency(session, epoch, first, second)


def bundle(account_id: UUID, *, after: int = -1) -> Iterator[str]:
    """Yield an account's events with their proofs as JSON lines that verify offline.

    :param after: leave out events up to this number in the account's chain.
    :raises LogDamaged: a tree lacks a record.
    """
    with reading(snapshot=True) as session:
        tops = _newest_checkpoints(session)
        keys = [str(key) for _, key in signing.published(session)]
        changes = checkpoints.key_changes(session)
        openings = {epoch: _opening(session, top) for epoch, top in tops.items()}
        pruned = session.scalars(sa.select(AuditPrune).order_by(AuditPrune.epoch)).all()
    yield _line(
        format=FORMAT, log=log_name.current(), account=str(account_id), after=after,
        keys=keys, key_changes=changes,
    )  # fmt: skip
    for row in pruned:
        yield _line(type="tree", epoch=row.epoch, checkpoint=row.checkpoint, opening=None)
    for epoch, top in sorted(tops.items()):
        opening = shape(openings[epoch])
        yield _line(type="tree", epoch=epoch, checkpoint=top.note, opening=opening)
        yield from _events(account_id, top, after)


def _newest_checkpoints(session: Session) -> dict[int, Published]:
    """Return the newest published checkpoint of each tree that is not pruned."""
    pruned = sa.select(AuditPrune.epoch)
    query = checkpoints.published_query().where(AuditCheckpoint.epoch.not_in(pruned))
    trees = session.scalars(query.with_only_columns(AuditCheckpoint.epoch).distinct()).all()
    found = {epoch: checkpoints.newest(session, epoch) for epoch in trees}
    return {epoch: one for epoch, one in found.items() if one is not None}


def _events(account_id: UUID, top: Published, after: int) -> Iterator[str]:
    tag = merkle.subject_tag(str(account_id))
    last = -1
    while True:
        query = (
            sa.select(AuditEvent, AuditLeaf)
            .join(AuditLeaf, AuditLeaf.event_id == AuditEvent.event_id)
            .where(
                AuditEvent.sub == str(account_id),
                AuditLeaf.subject_tag == tag,
                AuditLeaf.epoch == top.checkpoint.epoch,
                AuditLeaf.idx > last,
                AuditLeaf.idx < top.checkpoint.size,
                AuditLeaf.subject_seq > after,
            )
            .order_by(AuditLeaf.idx)
            .limit(_BATCH)
        )
        with reading(snapshot=True) as session:
            pairs = [(event, leaf) for event, leaf in session.execute(query)]
            proven = _prove(session, pairs, top)
        for proven_event in proven:
            yield _line(type="event", **shape(proven_event))
        if len(pairs) < _BATCH:
            return
        last = pairs[-1][1].idx


def shape(proven: Proven) -> dict[str, Any]:
    """Return an event with its proof in the form of the API."""
    event, leaf = proven.event, proven.leaf
    return {
        "event": {
            "id": str(event.event_id),
            "body": event.body.decode(),
            "prev": b64(event.prev_hash),
            "mac": b64(event.mac),
            "epoch": leaf.epoch,
            "index": leaf.idx,
            "subject_seq": leaf.subject_seq,
            "subject_prev": b64(leaf.subject_prev),
        },
        "leaf": b64(proven.leaf_bytes),
        "proof": proven.proof,
    }


def _line(**members: Any) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"
