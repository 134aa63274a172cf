"""Verify the audit log online: keys, consistency, own events, heads of own vaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from vaultr.client.audit import bundle
from vaultr.client.audit.bundle import Verified
from vaultr.client.audit.errors import (
    AuditInvalid,
    Contradiction,
    KeyUnknown,
    LogDamaged,
    LogRestored,
)
from vaultr.client.audit.pinned import Pinned
from vaultr.client.crypto.primitives import ed25519_verify
from vaultr.client.errors import NotFound, Refused
from vaultr.client.strict_json import Json
from vaultr.client.transport.account_session import Session
from vaultr.client.transport.http_transport import Answer
from vaultr.protocol import merkle, notes
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.merkle import MAX_SIZE, MerkleProofInvalid
from vaultr.protocol.notes import Checkpoint, NoteInvalid, VerificationKey

# Returns the heads in a vault's own log by revision, from a revision on; None if unknown.
Heads = Callable[[UUID, int], Mapping[int, bytes] | None]


@dataclass(frozen=True, slots=True)
class ShownCheckpoint:
    """A checkpoint as the server shows it."""

    checkpoint: Checkpoint
    note: str = field(repr=False)
    keys: list[VerificationKey] = field(repr=False)
    key_changes: list[str] = field(repr=False)
    opening: Json | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of a check.

    :ivar pinned: the checkpoint to pin from now on.
    :ivar events: number of new and verified events.
    :ivar heads: number of compared heads of own vaults.
    """

    pinned: Pinned
    events: int
    heads: int


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that the first event of a tree announces.

    :ivar end: the tree and size that were restored; everything later is lost.
    :ivar signed: the tree and size of the signer's last checkpoint.
    """

    reason: str
    end: tuple[int, int]
    signed: tuple[int, int]

    @classmethod
    def of(cls, epoch: int, obj: Json | None) -> list["Restore"]:
        """Read the restore of a tree's first event, if it announces one."""
        if not obj or "previous_epoch" not in obj:
            return []
        try:
            end = (int(obj["previous_epoch"]), int(obj["leaves"]))
            signed = (epoch - 1, MAX_SIZE)  # the signer's state was lost too
            if obj.get("signer") is not None:
                signer = Checkpoint.of_note(str(obj["signer"]))
                signed = (signer.epoch, signer.size)
            return [cls(str(obj["reason"]), end, signed)]
        except (KeyError, TypeError, ValueError, NoteInvalid):
            raise AuditInvalid(
                f"Section {epoch} of the log announces a restored backup in an invalid form."
            ) from None


class Verifier:
    """Checks the log of one account.

    :param identity: the account's own public identity keys.
    """

    def __init__(self, session: Session, account_id: UUID, identity: Mapping[str, bytes]) -> None:
        self._session = session
        self._account_id = account_id
        self._identity = identity

    def verify(self, pinned: Pinned | None, heads: Heads) -> AuditReport:
        """Verify everything that is new since the pinned checkpoint.

        :raises AuditInvalid: a check failed.
        """
        seen = list(self._session.checkpoints())
        shown = self._shown(None)
        keys = self._trusted(pinned, shown)
        self._check_signature(shown, keys)
        self._check_not_older(seen, shown)
        restored = None
        if pinned is not None:
            restored = self._check_continues(pinned, shown, keys)
        self._check_headers(shown)
        last = (-1, merkle.NO_LEAF) if pinned is None or restored else pinned.last
        verified = self._events(keys if pinned else None, last)
        self._check_signature(shown, verified.keys)
        self._check_covered(verified, shown)
        self._check_own_keys(verified)
        compared = self._check_heads(verified, heads)
        seq_and_leaf = verified.last if verified.events else last
        kept = Pinned(shown.checkpoint, shown.note, verified.keys, seq_and_leaf)
        if restored is not None:
            raise LogRestoredWith(restored, kept)
        return AuditReport(kept, len(verified.events), compared)

    def accept_key(self, pinned: Pinned | None, fingerprint: str) -> Pinned:
        """Pin a key that the user has accepted.

        :raises AuditInvalid: the server shows no checkpoint signed by this key.
        """
        shown = self._shown(None)
        found = [key for key in shown.keys if key.fingerprint == fingerprint.lower()]
        if not found:
            raise AuditInvalid("The server shows no log that is signed with this key.")
        self._check_signature(shown, found)
        older = [key for key in pinned.keys if key != found[0]] if pinned else []
        last = pinned.last if pinned else (-1, merkle.NO_LEAF)
        return Pinned(shown.checkpoint, shown.note, [*older, found[0]], last)

    def export(self) -> str:
        """Fetch the bundle of all events."""
        return self._lines("")

    def _lines(self, query: str) -> str:
        text = self._read(f"/audit/export{query}").text or ""
        if f'"{bundle.DAMAGED}"' in text.rstrip("\n").rpartition("\n")[2]:
            raise LogDamaged
        return text

    def _read(self, path: str) -> Answer:
        """Send one request.

        :raises LogDamaged: the server says that its log lacks records.
        """
        try:
            return self._session.send("GET", path)
        except Refused as error:
            if error.slug == LogDamaged.slug:
                raise LogDamaged from error
            raise

    def _shown(self, epoch: int | None) -> ShownCheckpoint:
        path = "/audit/checkpoint" + ("" if epoch is None else f"?epoch={epoch}")
        body: Any = self._read(path).body
        try:
            keys = [VerificationKey.parse(one) for one in body["keys"]]
            checkpoint = Checkpoint.of_note(str(body["checkpoint"]))
            changes = [str(one) for one in body["key_changes"]]
            opening = body["opening"]
        except (KeyError, TypeError, NoteInvalid) as error:
            raise AuditInvalid(f"The server shows no valid state of its log: {error}.") from error
        if epoch is not None and checkpoint.epoch != epoch:
            raise AuditInvalid("The server shows another section of the log than was requested.")
        return ShownCheckpoint(checkpoint, str(body["checkpoint"]), keys, changes, opening)

    def _trusted(self, pinned: Pinned | None, shown: ShownCheckpoint) -> list[VerificationKey]:
        """Return the pinned keys, and those that signed notes introduce."""
        if pinned is None:
            return shown.keys
        if shown.checkpoint.log != pinned.checkpoint.log:
            log, known = shown.checkpoint.log, pinned.checkpoint.log
            raise AuditInvalid(
                f"The server shows the log {log}; your devices have verified the log {known}."
            )
        keys = list(pinned.keys)
        for text in shown.key_changes:
            try:
                change = notes.open_key_change(text, keys[-1], ed25519_verify)
            except NoteInvalid:
                continue  # from an earlier change, or invalid: then the signature check fails
            if change.key not in keys:
                keys.append(change.key)
        return keys

    def _check_signature(self, shown: ShownCheckpoint, keys: list[VerificationKey]) -> None:
        try:
            notes.open_checkpoint(shown.note, keys, ed25519_verify)
        except NoteInvalid as error:
            if shown.keys and shown.keys[0] not in keys:
                raise KeyUnknown(shown.keys[0].fingerprint) from error
            raise AuditInvalid(f"The newest state of the log is not valid: {error}.") from error

    def _check_continues(
        self, pinned: Pinned, shown: ShownCheckpoint, keys: list[VerificationKey]
    ) -> str | None:
        """Check that the log continues the pinned checkpoint, through all trees since.

        :return: the announced reason, if a restore has lost pinned events.
        """
        old, new = pinned.checkpoint, shown.checkpoint
        if old.epoch == new.epoch:
            self._check_extends(old, new, pinned.note, shown.note)
            return None
        if new.epoch < old.epoch:
            says = (
                f"The server shows an older log than before: it ends with section {new.epoch}, "
                f"your devices have seen section {old.epoch}."
            )
            raise Contradiction(says, pinned.note, shown.note)
        before = self._found(old.epoch)
        if before is not None:
            self._check_signature(before, keys)
        lost: list[tuple[int, int]] = []
        if before is None or before.checkpoint.size < old.size:
            lost.append((old.epoch, old.size))
        else:
            self._check_extends(old, before.checkpoint, pinned.note, before.note)
        restores = self._follow(old.epoch, before, shown, keys, lost)
        for place in lost:
            if not any(one.end < place <= one.signed for one in restores):
                says = "Events that your devices have verified are missing from the server's log."
                raise Contradiction(says, pinned.note, (before or shown).note)
        return restores[0].reason if lost else None

    def _follow(
        self,
        epoch: int,
        before: ShownCheckpoint | None,
        shown: ShownCheckpoint,
        keys: list[VerificationKey],
        lost: list[tuple[int, int]],
    ) -> "list[Restore]":
        """Check that each tree continues the one before it.

        :param lost: receives the trees that the server does not have; only a restore may lose one.
        :return: the restores that the trees announce.
        """
        restores: list[Restore] = []
        for number in range(epoch + 1, shown.checkpoint.epoch + 1):
            tree = shown if number == shown.checkpoint.epoch else self._found(number)
            if tree is None:
                lost.append((number, 1))
            else:
                self._check_signature(tree, keys)
                restores += Restore.of(number, self._opening(tree, before))
            before = tree
        return restores

    def _found(self, epoch: int) -> ShownCheckpoint | None:
        """Fetch the checkpoint of a tree; None if the server has no such tree."""
        try:
            return self._shown(epoch)
        except NotFound:
            return None

    def _opening(self, tree: ShownCheckpoint, before: ShownCheckpoint | None) -> Json | None:
        if tree.opening is None:
            return None  # pruned
        known = None if before is None else before.checkpoint
        return bundle.check_opening(tree.opening, tree.checkpoint, known)

    def _check_extends(
        self, old: Checkpoint, new: Checkpoint, old_note: str, new_note: str
    ) -> None:
        if new.size < old.size or (new.size == old.size and new.root != old.root):
            says = (
                f"The server's log has lost or changed events: it shows {new.size}, your devices "
                f"have verified {old.size}."
            )
            raise Contradiction(says, old_note, new_note)
        if new == old:
            return
        try:
            path = self._path(old.epoch, old.size, new.size)
            merkle.check_consistency(old.size, new.size, old.root, new.root, path)
        except MerkleProofInvalid as error:
            says = (
                f"The server changed earlier events: section {old.epoch} of its log does not"
                f" continue what your devices have verified ({error})."
            )
            raise Contradiction(says, old_note, new_note) from error

    def _path(self, epoch: int, first: int, second: int) -> list[bytes]:
        query = f"/audit/consistency?epoch={epoch}&from={first}&to={second}"
        try:
            body: Any = self._read(query).body
            return [unb64(one) for one in body["hashes"]]
        except (KeyError, TypeError, ValueError) as error:
            raise MerkleProofInvalid("the server shows no proof") from error
        except Refused as error:
            if error.slug == "epoch-pruned":
                raise AuditInvalid(
                    f"Section {epoch} of the log was deleted before your devices had verified its "
                    "end."
                ) from error
            raise MerkleProofInvalid("the server rejected the request for a proof") from error

    def _check_not_older(self, seen: list[tuple[int, int, bytes]], shown: ShownCheckpoint) -> None:
        """Check that earlier responses did not contain a newer checkpoint."""
        new = shown.checkpoint
        for epoch, size, root in seen:
            if (epoch, size) > (new.epoch, new.size):
                says = "The server shows an older state of its log than in an earlier response."
                raise Contradiction(says, Checkpoint(new.log, epoch, size, root).text(), shown.note)

    def _check_headers(self, shown: ShownCheckpoint) -> None:
        """Check that the checkpoints of response headers belong to the same tree."""
        new = shown.checkpoint
        for epoch, size, root in self._session.checkpoints():
            if epoch != new.epoch:
                continue
            seen = Checkpoint(new.log, epoch, size, root)
            if size <= new.size:
                self._check_extends(seen, new, seen.text(), shown.note)

    def _events(self, keys: list[VerificationKey] | None, last: tuple[int, bytes]) -> Verified:
        lines = self._lines("" if last[0] < 0 else f"?after={last[0]}").splitlines()
        account = str(self._account_id)
        return bundle.verify(lines, trusted=keys, account=account, last=last)

    def _check_covered(self, verified: Verified, shown: ShownCheckpoint) -> None:
        """Check that the events' checkpoints extend the checkpoint shown first."""
        ours = verified.checkpoints.get(shown.checkpoint.epoch)
        if ours is None:
            raise AuditInvalid("Your events are not proven against the newest section of the log.")
        self._check_extends(shown.checkpoint, ours, shown.note, ours.text())

    def _check_own_keys(self, verified: Verified) -> None:
        """Check that no keys were published for this account except its own."""
        for event in verified.events:
            body = event.body
            if body.get("typ") != "key.publish":
                continue
            obj = body.get("obj") or {}
            ours = all(obj.get(kind) == b64(key) for kind, key in self._identity.items())
            if body.get("act") != body.get("sub") or not ours:
                raise AuditInvalid(
                    f"Event {event.id} publishes keys for your account that are not yours."
                )

    def _check_heads(self, verified: Verified, heads: Heads) -> int:
        """Check that the heads in the audit log match the vaults' own logs."""
        written: dict[UUID, list[tuple[int, str, str]]] = {}
        for event in verified.events:
            obj = event.body.get("obj")
            if event.body.get("typ") == "item.write" and isinstance(obj, dict):
                place = (int(obj["to"]), str(obj["head"]), event.id)
                written.setdefault(UUID(str(obj["id"])), []).append(place)
        compared = 0
        for vault_id, places in written.items():
            known = heads(vault_id, min(n for n, _, _ in places))
            for n, head, event_id in places if known else []:
                if n > max(known or {}):
                    raise AuditInvalid(
                        f"Event {event_id} records change {n} of vault {vault_id}, which the "
                        "server does not show in the vault."
                    )
                if known is not None and n in known:
                    compared += 1
                    if b64(known[n]) != head:
                        raise AuditInvalid(
                            f"Event {event_id} does not match change {n} of vault {vault_id} in "
                            "the vault's own log."
                        )
        return compared


class LogRestoredWith(LogRestored):
    """A restore that the log itself announces.

    :ivar pinned: what to pin from now on.
    """

    def __init__(self, reason: str, pinned: Pinned) -> None:
        super().__init__(
            "The server was restored from a backup, and events that your devices had verified are "
            f"lost. The operator's reason: {reason}"
        )
        self.pinned = pinned
