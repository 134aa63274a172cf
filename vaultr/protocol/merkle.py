"""The Merkle tree of the audit log: hashes, inclusion and consistency proofs (RFC 9162, section 2).

A tree is stored as its complete subtrees: node (level, index) covers the leaves from ``index <<
level`` up to ``(index + 1) << level``. A proof consists of hashes of ranges of leaves:
`complete_nodes` splits a range into stored nodes, and `fold` combines their hashes. So a proof for
any size needs O(log n) stored nodes, even if the checkpoint of that size was removed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

HASH_BYTES: Final = 32
TAG_BYTES: Final = 16
NO_LEAF: Final = bytes(HASH_BYTES)  # used as predecessor of a subject's first leaf
EMPTY_ROOT: Final = hashlib.sha256().digest()
# C2SP's witness protocol can prove trees of at most 2^63 leaves.
MAX_SIZE: Final = 2**63 - 1

_SUBJECT = b"vaultr/audit/subject/v1\0"
_LEAF = b"vaultr/audit/leaf/v1\0"
_EVENT = b"vaultr/audit/event/v1\0"

Range = tuple[int, int]
Node = tuple[int, int]


class MerkleProofInvalid(Exception):
    """A proof does not show what it claims."""


def event_hash(prev: bytes, body: bytes, mac: bytes) -> bytes:
    """Return the hash of an event, which goes into its leaf and the writer's next event."""
    tail = prev + len(body).to_bytes(8, "big") + body
    return hashlib.sha256(_EVENT + tail + mac).digest()


def subject_tag(subject: str) -> bytes:
    """Return the pseudonym of a subject in leaves."""
    return hashlib.sha256(_SUBJECT + subject.encode()).digest()[:TAG_BYTES]


def leaf_bytes(index: int, event_hash: bytes, tag: bytes, seq: int, prev: bytes) -> bytes:
    """Return the bytes of a leaf.

    :param tag: see `subject_tag`.
    :param seq: the number of earlier leaves of the subject, in all trees.
    :param prev: the hash of the subject's previous leaf, or `NO_LEAF`.
    """
    return _LEAF + index.to_bytes(8, "big") + event_hash + tag + seq.to_bytes(8, "big") + prev


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the hashes of its maximal complete subtrees."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Continue a tree.

        :param hashes: the hashes of ``complete_nodes(0, size)``, in that order.
        """
        self.size = size
        self._hashes = list(hashes)
        if len(self._hashes) != size.bit_count():
            raise ValueError("a frontier has one hash for each bit of the size")

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append a leaf hash; return the inner nodes that it completes, as (level, index, hash)."""
        done, level, top = [], 0, leaf
        while self.size >> level & 1:
            top = node_hash(self._hashes.pop(), top)
            level += 1
            done.append((level, self.size >> level, top))
        self._hashes.append(top)
        self.size += 1
        return done

    def hex(self) -> list[str]:
        """Return the hashes as hexadecimal text, to continue later."""
        return [node.hex() for node in self._hashes]

    def root(self) -> bytes:
        """Return the root hash of the tree."""
        return fold(self._hashes) if self._hashes else EMPTY_ROOT


def complete_nodes(begin: int, end: int) -> list[Node]:
    """Split a range of leaves of a proof into complete subtrees, from left to right."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """Combine the hashes of `complete_nodes` into the hash of their range."""
    *rest, top = hashes
    for left in reversed(rest):
        top = node_hash(left, top)
    return top


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that leaf ``index`` is in the tree of ``size`` leaves.

    :raises ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    return _path(index, 0, size)


def _path(index: int, begin: int, end: int) -> list[Range]:
    ranges: list[Range] = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """Return the ranges whose hashes prove that one tree extends another.

    :raises ValueError: the sizes are not ``0 < first <= second``.
    """
    if not 0 < first <= second:
        raise ValueError("the first size is at least 1 and at most the second")
    ranges: list[Range] = []
    begin, end, whole = 0, second, True
    while first - begin < end - begin:
        middle = begin + _split(end - begin)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin, whole = middle, False
    return (ranges if whole else [*ranges, (begin, end)])[::-1]


def _split(count: int) -> int:
    """Return the largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def root_of_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to.

    :raises MerkleProofInvalid: the proof does not have the length that index and size require.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise MerkleProofInvalid("the tree has no such leaf")
    ranges = inclusion_ranges(index, size)
    if len(path) != len(ranges):
        raise MerkleProofInvalid("the proof has the wrong length")
    top = leaf
    for (begin, _end), sibling in zip(ranges, path, strict=True):
        top = node_hash(sibling, top) if begin < index else node_hash(top, sibling)
    return top


def check_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in the tree that has ``root``.

    :raises MerkleProofInvalid: the proof does not show this.
    """
    if root_of_inclusion(index, size, leaf, path) != root:
        raise MerkleProofInvalid("the proof leads to another root")


def check_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the tree of the second root extends the tree of the first.

    :raises MerkleProofInvalid: the proof does not show this.
    """
    if not 0 < first <= second <= MAX_SIZE:
        raise MerkleProofInvalid("the first size is at least 1 and at most the second")
    ranges = consistency_ranges(first, second)
    if len(path) != len(ranges):
        raise MerkleProofInvalid("the proof has the wrong length")
    # If the first tree is a complete subtree of the second, the proof does not contain its root.
    sent = first & (first - 1) != 0
    old = new = first_root
    for place, ((begin, _end), sibling) in enumerate(zip(ranges, path, strict=True)):
        if place == 0 and sent and begin < first:
            old = new = sibling
        elif begin < first:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if old != first_root:
        raise MerkleProofInvalid("the proof leads to another root of the first tree")
    if new != second_root:
        raise MerkleProofInvalid("the proof leads to another root of the second tree")
