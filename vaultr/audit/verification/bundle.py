"""Verify a file of `flask audit export`, line by line and without the database."""

import hmac
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vaultr.audit import chain, signing
from vaultr.audit.export import FORMAT
from vaultr.audit.verification import known, trust
from vaultr.audit.verification.findings import Findings
from vaultr.audit.verification.links import restore_of
from vaultr.audit.verification.trust import Trust
from vaultr.protocol import merkle
from vaultr.protocol.encoding import unb64
from vaultr.protocol.merkle import Frontier
from vaultr.protocol.notes import Checkpoint, NoteInvalid, VerificationKey

_MALFORMED: Final = (
    AttributeError, KeyError, NoteInvalid, OverflowError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def verify(
    lines: Iterable[str], *, keys: Mapping[str, bytes], anchors: Iterable[str] = ()
) -> Findings:
    """Verify an exported log.

    :param keys: the row keys by id; if empty, MACs are not checked.
    :param anchors: signed notes from an anchor.
    """
    check = BundleCheck(keys)
    for number, line in enumerate(lines, start=1):
        try:
            check.take(json.loads(line), anchors)
        except _MALFORMED:
            check.findings.tampered("bundle", f"line {number} is malformed or in the wrong place")
            break
    check.finish()
    return check.findings


class BundleCheck:
    """The state of a verification: the right edge of the tree, and the ends of all chains."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self.findings = Findings()
        self._keys = keys
        self._trust: Trust | None = None
        self._edge, self._epoch = Frontier(), 0
        self._finals: dict[int, Checkpoint] = {}
        self._sizes: dict[int, int] = {}
        self._anchored: Mapping[int, Mapping[int, set[bytes]]] = {}
        self._other_trees: set[int] = set()
        self._trusted_trees: set[int] = set()
        self._writers = _Writers()
        self._subjects: dict[bytes, tuple[int, bytes]] = {}
        self._pruned: set[int] = set()

    def take(self, line: Mapping[str, Any], anchors: Iterable[str]) -> None:
        """Check one line: the head, a pruned tree, a leaf or a checkpoint."""
        if self._trust is None:
            self._take_head(line, anchors)
            return
        match line["type"]:
            case "pruned":
                final = self._opened(str(line["checkpoint"]))
                self._finals[final.epoch] = final
                self._pruned.add(final.epoch)
            case "leaf":
                self._take_leaf(line)
            case "checkpoint":
                self._take_checkpoint(str(line["checkpoint"]))
            case _:
                raise ValueError("unknown type")

    def _take_head(self, head: Mapping[str, Any], anchors: Iterable[str]) -> None:
        if head["format"] != FORMAT:
            raise ValueError("another format")
        log = str(head["log"])
        published = [VerificationKey.parse(text) for text in head["keys"]]
        self._trust = trust.connect(
            log, signing.public_keys(log), published, head["key_changes"], self.findings
        )
        found = known.Known()
        known.read_anchors(self._trust, anchors, found, self.findings)
        self._anchored = found.signed

    def _opened(self, note: str) -> Checkpoint:
        assert self._trust is not None  # nosec B101 - the head comes first
        checkpoint, trusted = self._trust.opened(note)
        (self._trusted_trees if trusted else self._other_trees).add(checkpoint.epoch)
        return checkpoint

    def _take_leaf(self, line: Mapping[str, Any]) -> None:
        epoch, body = int(line["epoch"]), str(line["body"]).encode()
        if epoch != self._epoch:
            if epoch < self._epoch:
                raise ValueError("an older tree")
            self._edge, self._epoch = Frontier(), epoch
            self.findings.trees += 1
        if line["index"] != self._edge.size:
            raise ValueError("a leaf is left out or repeated")
        event = json.loads(body)
        if self._edge.size == 0:
            self._check_opening(event)
        prev, mac = unb64(line["prev"]), unb64(line["mac"])
        self._check_mac(event, prev, body, mac)
        event_hash = merkle.event_hash(prev, body, mac)
        self._writers.take(str(event["w"]), int(event["n"]), prev, event_hash)
        tag, seq = merkle.subject_tag(str(event["sub"])), int(line["subject_seq"])
        last = unb64(line["subject_prev"])
        data = merkle.leaf_bytes(self._edge.size, event_hash, tag, seq, last)
        self._check_subject(tag, seq, last, merkle.leaf_hash(data))
        self._edge.append(merkle.leaf_hash(data))
        self._sizes[epoch] = self._edge.size
        self.findings.events += 1
        roots = self._anchored.get(epoch, {}).get(self._edge.size, ())
        if any(root != self._edge.root() for root in roots):
            self._report("root", "the root differs from an anchor")

    def _check_opening(self, event: Mapping[str, Any]) -> None:
        obj = event["obj"]
        if event["typ"] != "log.epoch.open" or obj["epoch"] != self._epoch:
            raise ValueError("a tree does not begin with log.epoch.open")
        restore = restore_of(self._epoch, obj)
        expected = self._epoch - 1 if restore is None else restore.end[0]
        text = obj["previous"]
        named = None if text is None else Checkpoint.of_note(text)
        before = max((epoch for epoch in self._finals if epoch < self._epoch), default=0)
        if before != expected or named != self._finals.get(before):
            self._report(
                "link", f"tree {self._epoch} continues another tree than the one before it"
            )

    def _check_mac(self, event: Mapping[str, Any], prev: bytes, body: bytes, mac: bytes) -> None:
        if not self._keys:
            return
        name = event.get("k")
        if not isinstance(name, str):
            self._report("mac", f"event {event['eid']} does not name the key of its MAC")
        elif (key := self._keys.get(name)) is None:
            self.findings.unverifiable("mac", f"AUDIT_KEY does not contain the key {name}")
        elif not hmac.compare_digest(chain.mac_of(key, prev, body), mac):
            self._report("mac", f"the MAC of event {event['eid']} is wrong")

    def _check_subject(self, tag: bytes, seq: int, last: bytes, leaf: bytes) -> None:
        before = self._subjects.get(tag)
        first = (0, merkle.NO_LEAF) if before is None else (before[0] + 1, before[1])
        if (seq, last) != first and not (before is None and self._pruned):
            self._report("subject", "a subject's chain is broken")
        self._subjects[tag] = (seq, leaf)

    def _take_checkpoint(self, note: str) -> None:
        checkpoint = self._opened(note)
        if checkpoint.epoch != self._epoch or checkpoint.size != self._edge.size:
            raise ValueError("a checkpoint in the wrong place")
        if checkpoint.root != self._edge.root():
            self._report("root", "the root differs from a signed checkpoint")
        self._finals[checkpoint.epoch] = checkpoint

    def finish(self) -> None:
        """Run the checks that need the whole file."""
        known.check_untrusted(self._other_trees, self._trusted_trees, self.findings)
        if self._trust is None or not self._finals:
            self.findings.tampered("bundle", "the file has no checkpoint")
        for epoch, sizes in self._anchored.items():
            final = self._finals.get(epoch) if epoch in self._pruned else None
            if max(sizes) > (final.size if final else self._sizes.get(epoch, 0)):
                says = f"an anchor knows more of tree {epoch} than the file; export it again"
                self.findings.tampered("truncated", says, epoch=epoch)
            if final and any(root != final.root for root in sizes.get(final.size, ())):
                says = f"an anchor contradicts the pruned tree {epoch}"
                self.findings.tampered("anchor", says, epoch=epoch)
        last = self._finals.get(self._epoch)
        if self._epoch and (last is None or last.size < self._edge.size):
            self._report("truncated", "no checkpoint covers the last leaves of the file")
        for writer in self._writers.broken(pruned=bool(self._pruned)):
            self.findings.tampered("writer", f"the chain of writer {writer} is broken")

    def _report(self, check: str, says: str) -> None:
        self.findings.tampered(check, says, epoch=self._epoch, index=self._edge.size)


class _Writers:
    """The chains of writers, whose events may be slightly out of order."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[int, bytes]] = {}
        self._early: dict[str, dict[int, tuple[bytes, bytes]]] = defaultdict(dict)
        self._broken: set[str] = set()

    def take(self, writer: str, number: int, prev: bytes, event_hash: bytes) -> None:
        """Take one event, and link the waiting events that follow it."""
        if number in self._early[writer] or number < self._ends.get(writer, (0, b""))[0]:
            self._broken.add(writer)
        self._early[writer][number] = (prev, event_hash)
        self._link(writer, self._ends.get(writer, (0, chain.genesis(bytes.fromhex(writer)))))

    def _link(self, writer: str, end: tuple[int, bytes]) -> None:
        number, head = end
        while (following := self._early[writer].pop(number, None)) is not None:
            if following[0] != head:
                self._broken.add(writer)
            number, head = number + 1, following[1]
            self._ends[writer] = (number, head)
        if not self._early[writer]:
            del self._early[writer]

    def broken(self, *, pruned: bool) -> list[str]:
        """Return the writers whose chains have a gap; a pruned log may lack their beginnings."""
        for writer, left in list(self._early.items()):
            if pruned and writer not in self._ends:
                first = min(left)
                self._link(writer, (first, left[first][0]))
        return sorted(self._broken | set(self._early))
