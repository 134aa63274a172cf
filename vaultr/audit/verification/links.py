"""Check that trees follow each other without a gap, and that checkpoints cover all leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from vaultr.audit import tree
from vaultr.audit.verification.findings import Findings
from vaultr.audit.verification.known import Known
from vaultr.protocol import merkle, notes
from vaultr.protocol.notes import Checkpoint, NoteInvalid


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that the first event of a tree announces.

    :ivar end: the tree and size that were restored; everything later is lost.
    :ivar signed: the tree and size of the signer's last checkpoint.
    """

    epoch: int
    reason: str
    end: tuple[int, int]
    signed: tuple[int, int]
    root: str

    def lost(self, epoch: int, size: int) -> bool:
        """Check whether this restore explains why a tree does not reach a size."""
        return self.end < (epoch, size) <= self.signed


def restore_of(epoch: int, obj: Mapping[str, Any]) -> Restore | None:
    """Read the restore that a tree's first event announces."""
    try:
        end = (int(obj["previous_epoch"]), int(obj["leaves"]))
        text = obj["signer"]
        signer = None if text is None else Checkpoint.of_note(str(text))
    except (KeyError, TypeError, ValueError, OverflowError, NoteInvalid):
        return None
    if not (0 <= end[0] < epoch and 0 <= end[1] <= merkle.MAX_SIZE):
        return None
    signed = end if signer is None else (signer.epoch, signer.size)
    return Restore(epoch, str(obj.get("reason")), end, signed, str(obj.get("root")))


class Links:
    """The trees of a log and how they follow each other.

    :param trees: the numbers of all stored and pruned trees.
    """

    def __init__(self, session: Session, known: Known, trees: set[int], findings: Findings) -> None:
        self._session = session
        self._known = known
        self._trees = trees
        self._findings = findings
        self._read: set[int] = set()
        self.restores: list[Restore] = []

    def take(self, epoch: int, opening: Mapping[str, Any] | None) -> None:
        """Check that the first event of a tree names the previous tree and its final checkpoint."""
        self._read.add(epoch)
        typ, obj = (None, None) if opening is None else (opening.get("typ"), opening.get("obj"))
        if typ != "log.epoch.open" or not isinstance(obj, dict) or obj.get("epoch") != epoch:
            self._report(epoch, "a tree does not begin with its log.epoch.open")
            return
        restore = restore_of(epoch, obj)
        if restore is not None:
            self.restores.append(restore)
            self._check_restored(restore)
        before = max((tree for tree in self._trees if tree < epoch), default=0)
        named = _named(obj.get("previous"))
        expected = epoch - 1 if restore is None else restore.end[0]
        if before != expected:
            self._report(epoch, f"tree {expected}, which tree {epoch} continues, is missing")
        elif named != self._known.finals.get(before):
            says = f"tree {epoch} names another final checkpoint of tree {before}"
            self._report(epoch, says)

    def _check_restored(self, restore: Restore) -> None:
        """Check the leaves of a restored tree that no checkpoint covers."""
        before, size = restore.end
        if before in self._known.pruned or not before:
            return
        try:
            root = tree.root(self._session, before, size)
        except KeyError:
            root = b""
        if notes.encode(root) != restore.root:
            says = f"tree {before} differs from what tree {restore.epoch} says about it"
            self._report(restore.epoch, says)

    def check_sizes(self, sizes: Mapping[int, int]) -> None:
        """Check that checkpoints cover each tree, and that no tree is shorter than its checkpoint.

        :param sizes: the number of leaves of each tree that is not pruned.
        """
        newest, restored = max(sizes, default=0), [restore.end for restore in self.restores]
        for epoch, size in sorted(sizes.items()):
            final = self._known.finals.get(epoch)
            covered = 0 if final is None else final.size
            if not covered and size:
                self._findings.tampered("checkpoint", f"tree {epoch} has no checkpoint")
            elif covered > size:
                self._truncated(epoch, covered, size)
            elif covered < size and epoch != newest and (epoch, size) not in restored:
                self._report(
                    epoch, f"no checkpoint covers the last leaves of tree {epoch}", covered
                )
        for epoch, anchored in sorted(self._known.anchored.items()):
            if anchored > sizes.get(epoch, 0):
                self._check_lost(epoch, anchored, sizes.get(epoch, 0))

    def _check_lost(self, epoch: int, anchored: int, size: int) -> None:
        for restore in self.restores:
            if restore.lost(epoch, anchored):
                says = f"the restore before tree {restore.epoch} lost leaves of tree {epoch}"
                self._findings.warning("restore", f"{says}: {restore.reason}")
                return
        self._truncated(epoch, anchored, size)

    def _truncated(self, epoch: int, signed: int, size: int) -> None:
        says = f"a checkpoint of {signed} leaves exists, but the tree has {size}"
        self._report(epoch, says, size, check="truncated")

    def check_numbers(self) -> None:
        """Check that no tree is missing; each tree that was read has named its predecessor."""
        first = min(self._read, default=max(self._trees, default=0) + 1)
        missing = set(range(1, first)) - self._trees
        if missing:
            listed = ", ".join(map(str, sorted(missing)[:10]))
            says = f"trees are missing, and no record says that they were pruned: {listed}"
            self._findings.unverifiable("prune", says)

    def _report(self, epoch: int, says: str, index: int = 0, *, check: str = "link") -> None:
        self._findings.tampered(check, says, epoch=epoch, index=index)


def _named(text: Any) -> Checkpoint | None:
    if text is None:
        return None
    try:
        return Checkpoint.of_note(str(text))
    except NoteInvalid:
        return Checkpoint("", 0, 0, b"")
