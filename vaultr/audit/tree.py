"""Store the trees of the audit log, and read their hashes."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit.models import AuditLeaf, AuditNode
from vaultr.protocol import merkle
from vaultr.protocol.merkle import Frontier, Node, Range

T = TypeVar("T")

_MOST_IN_LIST: Final = 500  # SQLite accepts 32,766 parameters


@dataclass(frozen=True, slots=True)
class Leaf:
    """A new leaf, before the tree assigns its index."""

    event_id: UUID
    event_hash: bytes
    tag: bytes


@dataclass(slots=True)
class SubjectEnd:
    """The end of a subject's chain."""

    seq: int
    leaf_hash: bytes


def size(session: Session, epoch: int) -> int:
    """Return the number of leaves of a tree, including those that no checkpoint covers."""
    last = session.scalar(sa.select(sa.func.max(AuditLeaf.idx)).where(AuditLeaf.epoch == epoch))
    return 0 if last is None else last + 1


def frontier(session: Session, epoch: int, size: int) -> Frontier:
    """Load the right edge of a tree."""
    nodes = merkle.complete_nodes(0, size)
    stored = hashes(session, epoch, nodes)
    return Frontier(size, [stored[node] for node in nodes])


def root(session: Session, epoch: int, size: int) -> bytes:
    """Return the root of a tree at a size.

    :raises KeyError: a node is missing.
    """
    return frontier(session, epoch, size).root()


def append(
    session: Session,
    epoch: int,
    edge: Frontier,
    leaves: Iterable[Leaf],
    ends: dict[bytes, SubjectEnd],
) -> None:
    """Append leaves, and advance the frontier and the subjects' chains."""
    rows: list[dict[str, Any]] = []
    nodes: list[dict[str, Any]] = []
    for leaf in leaves:
        end = ends.get(leaf.tag)
        seq = end.seq + 1 if end else 0
        prev = end.leaf_hash if end else merkle.NO_LEAF
        index = edge.size
        data = merkle.leaf_bytes(index, leaf.event_hash, leaf.tag, seq, prev)
        leaf_hash = merkle.leaf_hash(data)
        nodes += [
            {"epoch": epoch, "level": level, "idx": at, "hash": top}
            for level, at, top in edge.append(leaf_hash)
        ]
        rows.append(
            {
                "epoch": epoch, "idx": index, "event_id": leaf.event_id, "subject_tag": leaf.tag,
                "subject_seq": seq, "subject_prev": prev, "leaf_hash": leaf_hash,
            }
        )  # fmt: skip
        ends[leaf.tag] = SubjectEnd(seq, leaf_hash)
    if rows:
        session.execute(sa.insert(AuditLeaf), rows)
    if nodes:
        session.execute(sa.insert(AuditNode), nodes)


def hashes(session: Session, epoch: int, nodes: Collection[Node]) -> dict[Node, bytes]:
    """Read the hashes of complete subtrees."""
    found: dict[Node, bytes] = {}
    for some in _batched({at for level, at in nodes if level == 0}, _MOST_IN_LIST):
        query = sa.select(AuditLeaf.idx, AuditLeaf.leaf_hash).where(
            AuditLeaf.epoch == epoch, AuditLeaf.idx.in_(some)
        )
        found |= {(0, at): top for at, top in session.execute(query)}
    place = sa.tuple_(AuditNode.level, AuditNode.idx)
    for inner in _batched({node for node in nodes if node[0] > 0}, _MOST_IN_LIST):
        places = sa.select(AuditNode.level, AuditNode.idx, AuditNode.hash).where(
            AuditNode.epoch == epoch, place.in_(inner)
        )
        found |= {(level, at): top for level, at, top in session.execute(places)}
    return found


def _batched(values: Iterable[T], count: int) -> Iterator[tuple[T, ...]]:
    left = iter(values)
    while some := tuple(islice(left, count)):
        yield some


def range_hashes(session: Session, epoch: int, ranges: Sequence[Range]) -> list[bytes]:
    """Return the hash of each range of leaves, as proofs contain them."""
    nodes = {node for leaves in ranges for node in merkle.complete_nodes(*leaves)}
    stored = hashes(session, epoch, nodes)
    return list(folded(stored, ranges))


def folded(stored: dict[Node, bytes], ranges: Iterable[Range]) -> Iterator[bytes]:
    """Yield the hash of each range, computed from the hashes of its subtrees."""
    for leaves in ranges:
        yield merkle.fold([stored[node] for node in merkle.complete_nodes(*leaves)])


def consistency(session: Session, epoch: int, first: int, second: int) -> list[bytes]:
    """Return the proof that a tree of ``second`` leaves extends the same tree of ``first``."""
    return range_hashes(session, epoch, merkle.consistency_ranges(first, second))
