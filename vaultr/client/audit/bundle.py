"""Verify a bundle offline: an account's events, each with the proof that it is in the log."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from vaultr.client.audit.errors import AuditInvalid, LogDamaged
from vaultr.client.crypto.primitives import ed25519_verify
from vaultr.client.strict_json import Json
from vaultr.protocol import merkle, notes
from vaultr.protocol.encoding import unb64
from vaultr.protocol.merkle import MerkleProofInvalid
from vaultr.protocol.notes import Checkpoint, NoteInvalid, Proof, VerificationKey
from vaultr.protocol.problems import PREFIX

FORMAT: Final = "vaultr-audit/1"
# The type of the last line where the server finds damage after it has begun to respond.
DAMAGED: Final = f"{PREFIX}{LogDamaged.slug}"


@dataclass(frozen=True, slots=True)
class Event:
    """One verified event."""

    id: str
    body: dict[str, Any] = field(repr=False)
    epoch: int
    index: int
    seq: int
    leaf_hash: bytes = field(repr=False)


@dataclass(slots=True)
class Verified:
    """A verified bundle.

    :ivar keys: the keys that signed, oldest first.
    :ivar checkpoints: the checkpoint of each tree.
    :ivar pruned: the last tree that was pruned; 0 if none was.
    """

    log: str
    account: str
    keys: list[VerificationKey]
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    pruned: int = 0

    @property
    def last(self) -> tuple[int, bytes]:
        """The number and leaf hash of the account's last event."""
        if not self.events:
            return -1, merkle.NO_LEAF
        return self.events[-1].seq, self.events[-1].leaf_hash


def check_keys(keys: list[VerificationKey], changes: Iterable[str]) -> None:
    """Check that each key was introduced by the previous one.

    :raises AuditInvalid: the note of a key change is missing, or is not signed by both keys.
    """
    trusted = keys[:1]
    for text in changes:
        for old in trusted:
            try:
                change = notes.open_key_change(text, old, ed25519_verify)
            except NoteInvalid:
                continue
            trusted.append(change.key)
            break
    missing = [key for key in keys if key not in trusted]
    if missing:
        raise AuditInvalid(
            f"The key {missing[0].fingerprint} is not signed by an earlier key of the log."
        )


def verify(
    lines: Iterable[str],
    *,
    trusted: list[VerificationKey] | None = None,
    account: str | None = None,
    last: tuple[int, bytes] = (-1, merkle.NO_LEAF),
) -> Verified:
    """Check all lines of a bundle.

    :param trusted: the pinned keys; without them the bundle's own keys are trusted.
    :param account: the account of the bundle.
    :param last: number and leaf hash of the last event verified earlier.
    :raises AuditInvalid: a line is malformed, missing, repeated or does not verify.
    :raises LogDamaged: the server ended the bundle because its log lacks records.
    """
    objects = _objects(lines)
    verified = _head(next(objects, {}), trusted, account, last[0])
    tag = merkle.subject_tag(verified.account)
    for one in objects:
        match one.get("type"):
            case "tree":
                _take_tree(verified, one)
            case "event":
                _take_event(verified, one, tag, last)
            case kind if kind == DAMAGED:
                raise LogDamaged
            case _:
                raise AuditInvalid("The bundle has a line of unknown type.")
    if not verified.checkpoints:
        raise AuditInvalid("The bundle has no signed state of the log.")
    return verified


def _objects(lines: Iterable[str]) -> Iterator[Json]:
    for number, line in enumerate(lines, start=1):
        try:
            one = json.loads(line, object_pairs_hook=_once)
        except ValueError:
            raise AuditInvalid(f"Line {number} of the bundle is not JSON.") from None
        if not isinstance(one, dict):
            raise AuditInvalid(f"Line {number} of the bundle is not an object.")
        yield one


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is repeated")
    return members


def _head(
    head: Json, trusted: list[VerificationKey] | None, account: str | None, after: int
) -> Verified:
    try:
        keys = [VerificationKey.parse(str(one)) for one in head["keys"]]
        verified = Verified(str(head["log"]), str(head["account"]), keys)
        wrong = head["format"] != FORMAT or head["after"] != after or not keys
        changes = [str(one) for one in head["key_changes"]]
    except (KeyError, TypeError, NoteInvalid):
        raise AuditInvalid("The bundle has no valid first line.") from None
    if wrong or any(key.name != verified.log for key in keys):
        raise AuditInvalid("The bundle is of another format, log or range.")
    if account is not None and verified.account != account:
        raise AuditInvalid("The bundle is of another account.")
    if trusted is None:
        check_keys(keys, changes)
    else:
        verified.keys = trusted
    return verified


def _take_tree(verified: Verified, one: Json) -> None:
    checkpoint = _opened(verified, str(one.get("checkpoint")))
    if checkpoint.epoch != one.get("epoch") or checkpoint.epoch in verified.checkpoints:
        raise AuditInvalid("The bundle repeats a section of the log, or numbers it wrongly.")
    if verified.checkpoints and checkpoint.epoch != max(verified.checkpoints) + 1:
        raise AuditInvalid(
            f"The bundle leaves out the section of the log before {checkpoint.epoch}."
        )
    before = verified.checkpoints.get(checkpoint.epoch - 1)
    opening = one.get("opening")
    if opening is None:
        if verified.pruned != max(verified.checkpoints, default=verified.pruned):
            raise AuditInvalid("The bundle leaves out the first event of a section.")
        verified.pruned = checkpoint.epoch
    elif isinstance(opening, dict):
        check_opening(opening, checkpoint, before)
    else:
        raise AuditInvalid("A section of the log has no valid first event.")
    verified.checkpoints[checkpoint.epoch] = checkpoint


def check_opening(opening: Json, checkpoint: Checkpoint, before: Checkpoint | None) -> Json:
    """Check the first event of a tree; it contains the final checkpoint of the previous tree.

    :return: the event's object.
    :raises AuditInvalid: it is not the first event, or names another previous tree.
    """
    event = check_event(opening, checkpoint)
    obj = event.body.get("obj")
    if event.index != 0 or event.body.get("typ") != "log.epoch.open" or not isinstance(obj, dict):
        raise AuditInvalid(
            f"Section {checkpoint.epoch} of the log does not begin with log.epoch.open."
        )
    if before is not None:
        try:
            named = Checkpoint.of_note(str(obj.get("previous")))
        except NoteInvalid as error:
            raise AuditInvalid(
                f"Section {checkpoint.epoch} of the log does not name the previous one."
            ) from error
        if named != before:
            raise AuditInvalid(
                f"Section {checkpoint.epoch} of the log does not continue the previous one."
            )
    return obj


def _take_event(verified: Verified, one: Json, tag: bytes, last: tuple[int, bytes]) -> None:
    shown = one.get("event")
    epoch = shown.get("epoch") if isinstance(shown, dict) else None
    checkpoint = verified.checkpoints.get(epoch) if isinstance(epoch, int) else None
    newest = max(verified.checkpoints, default=0)
    if checkpoint is None or checkpoint.epoch != newest or newest == verified.pruned:
        raise AuditInvalid("An event is outside of the signed part of its section of the log.")
    event = check_event(one, checkpoint, tag)
    seq, leaf = verified.last if verified.events else last
    first = not verified.events and verified.pruned > 0 and last[0] < 0
    if event.seq != seq + 1 and not first:
        raise AuditInvalid(f"Event {seq + 1} of the account is missing or repeated.")
    if unb64(one["event"]["subject_prev"]) != leaf and not first:
        raise AuditInvalid(f"Event {event.seq} of the account does not follow the previous one.")
    verified.events.append(event)


def check_event(one: Json, checkpoint: Checkpoint, tag: bytes | None = None) -> Event:
    """Check one event: body, leaf, path and checkpoint.

    :param tag: the expected subject.
    :raises AuditInvalid: one of them does not match.
    """
    try:
        event, proof = one["event"], Proof.parse(str(one["proof"]))
        text, index, seq = str(event["body"]), event["index"], event["subject_seq"]
        event_hash = merkle.event_hash(unb64(event["prev"]), text.encode(), unb64(event["mac"]))
        body = json.loads(text)
        subject = merkle.subject_tag(str(body["sub"]))
        data = merkle.leaf_bytes(index, event_hash, subject, seq, unb64(event["subject_prev"]))
        same = Checkpoint.parse(proof.checkpoint.text) == checkpoint and unb64(one["leaf"]) == data
        leaf = merkle.leaf_hash(data)
        fits = same and body["eid"] == event["id"] and event["epoch"] == checkpoint.epoch
        if not fits or proof.index != index or (tag is not None and subject != tag):
            raise AuditInvalid(f"Event {event['id']} does not match its proof.")
        merkle.check_inclusion(index, checkpoint.size, leaf, proof.path, checkpoint.root)
    except (
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        NoteInvalid,
        MerkleProofInvalid,
    ) as error:
        raise AuditInvalid(f"An event of the log is altered or not proven: {error}.") from error
    return Event(str(event["id"]), body, checkpoint.epoch, index, seq, leaf)


def _opened(verified: Verified, text: str) -> Checkpoint:
    try:
        checkpoint = notes.open_checkpoint(text, verified.keys, ed25519_verify)
    except NoteInvalid as error:
        raise AuditInvalid(f"A signed state of the log is not valid: {error}.") from error
    if checkpoint.log != verified.log:
        raise AuditInvalid("A signed state is of another log.")
    return checkpoint
