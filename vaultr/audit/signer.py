"""Decide whether the signer may sign: the database must extend its last checkpoint."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import anchors, checkpoints, log_name, signing, state_file, tree
from vaultr.audit.models import AuditCheckpoint
from vaultr.audit.signing import SigningKeys
from vaultr.observability import logs
from vaultr.protocol import merkle
from vaultr.protocol.merkle import MerkleProofInvalid
from vaultr.protocol.notes import Checkpoint, NoteInvalid

REOPEN: Final = (
    "if you restored the database, run `flask audit reopen --reason TEXT`; if not, see"
    " docs/runbook.md, VaultrAuditHalted"
)


class CannotSign(Exception):
    """The signer cannot sign now.

    :ivar reason: a reason code.
    :ivar waits: whether this may resolve itself; otherwise an operator must act.
    """

    def __init__(self, reason: str, says: str, *, waits: bool = False) -> None:
        self.reason = reason
        self.waits = waits
        super().__init__(says)


@dataclass(frozen=True, slots=True)
class State:
    """The last checkpoint that this signer knows to be signed.

    :ivar note: the signed note; None before the first one.
    :ivar stored: whether it is stored outside of the database; False only for the very first one
        before `store_first` has stored it.
    """

    note: str | None
    checkpoint: Checkpoint | None
    stored: bool = True


class Signer:
    """The signer of this process.

    It keeps the last checkpoint known to be signed (`_last`), and the checkpoint signed in the
    current transaction (`_signed`), which becomes the last one when `remember` is called.
    """

    def __init__(self, keys: SigningKeys) -> None:
        self.keys = keys
        self._last: str | None = None
        self._signed: str | None = None
        self._anchors_read = False

    def sign(self, checkpoint: Checkpoint) -> str:
        """Sign a checkpoint; call `remember` after its transaction is committed."""
        self._signed = self.keys.checkpoint(checkpoint)
        return self._signed

    def forget_signed(self) -> None:
        """Forget what was signed in a transaction that may not be committed."""
        self._signed = None

    def remember(self, stored: str | None) -> None:
        """Store the last signed checkpoint in the state file and in this process.

        This takes the newest checkpoint of this process, the file and the database. None of them
        alone is enough: a trigger could drop the row or mark it as published, a row could be
        deleted, and another sequencer may have signed while this one was paused.

        :param stored: the newest checkpoint of the database, which `check` has verified.
        :raises OSError: the file cannot be written.
        """
        file = state_file.read()
        notes = (file, self._last, self._signed, stored)
        known = [note for note in notes if note is not None]
        if not known:
            return
        self._last = max(known, key=_note_position)
        if self._last != file:
            state_file.write(self._last)
        self._signed = None

    def state(self, session: Session) -> State:
        """Return the newest checkpoint from the state file, the anchors and this process.

        :raises CannotSign: the state file or an anchor cannot be read, or contains a checkpoint of
            another log.
        """
        found = [self._read_file(session)]
        if self._last is not None and self._last != found[0].note:
            found.append(self._opened(session, self._last, "state"))
        if not self._anchors_read:
            found += self._read_anchors(session)
        known = [state for state in found if state.checkpoint is not None]
        newest = max(known, key=_state_position, default=State(None, None))
        self._last = newest.note
        self._anchors_read = True
        return newest

    def _read_file(self, session: Session) -> State:
        try:
            text = state_file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise CannotSign("state-unreadable", "the state file cannot be read") from error
        return State(None, None) if text is None else self._opened(session, text, "state")

    def _read_anchors(self, session: Session) -> list[State]:
        try:
            texts = anchors.newest_notes()
        except anchors.AnchorUnreachable as error:
            says = f"the anchor {error.anchor} cannot be reached"
            raise CannotSign("anchor-unreachable", says, waits=True) from error
        return [self._opened(session, text, "anchor") for text in texts]

    def _opened(self, session: Session, text: str, where: str) -> State:
        trusted = [key.public for key in self.keys.all]
        trusted += [key for _, key in signing.published(session)]
        try:
            return State(text, signing.opened(text, trusted, log_name.current()))
        except NoteInvalid as error:
            says = f"the checkpoint in the {where} is invalid: {error}"
            raise CannotSign(f"{where}-invalid", says) from error

    def _check_stored(self, session: Session, stored: AuditCheckpoint, size: int) -> Checkpoint:
        """Check that the newest stored checkpoint is genuine and fits the stored tree."""
        shown = self._opened(session, stored.note, "database").checkpoint
        if shown is None or (shown.epoch, shown.size) != (stored.epoch, stored.size):
            raise CannotSign("database-invalid", "a stored checkpoint differs from its columns")
        _check_extends(session, shown, size)
        return shown

    def check(self, session: Session, epoch: int, size: int) -> State:
        """Check that a tree in the database extends the last signed checkpoint; store nothing.

        :raises CannotSign: it does not, or this cannot be verified.
        """
        state = self.state(session)
        stored = checkpoints.last_signed(session)
        newest = None if stored is None else self._check_stored(session, stored, size)
        if state.checkpoint is None:
            if stored is not None and _is_first(stored):
                return State(stored.note, newest, stored=False)
            if stored is not None:
                says = f"state file and anchors are missing, but checkpoints exist; {REOPEN}"
                raise CannotSign("state-missing", says)
            return state
        last = state.checkpoint
        if (epoch, size) < (last.epoch, last.size):
            shown = f"{last.epoch}/{last.size}"
            says = f"the database is older than the last checkpoint ({shown}); {REOPEN}"
            raise CannotSign("database-restored", says)
        if last != newest:
            end = size if epoch == last.epoch else tree.size(session, last.epoch)
            _check_extends(session, last, end)
        if epoch > last.epoch:
            _check_final_checkpoints(session, last.epoch, epoch)
        return state

    def store_first(self, first: State) -> None:
        """Store the very first checkpoint as the state, before another one is signed.

        :raises CannotSign: it cannot be stored now.
        """
        try:
            self.remember(first.note)
        except OSError as error:
            raise CannotSign(
                "state-unwritable", "the state file cannot be written", waits=True
            ) from error
        if state_file.path() is None:
            anchors.send_first()


def _state_position(state: State) -> tuple[int, int]:
    checkpoint = state.checkpoint
    return (0, 0) if checkpoint is None else (checkpoint.epoch, checkpoint.size)


def _is_first(stored: AuditCheckpoint) -> bool:
    """Check whether a checkpoint is the very first one, which nobody has seen yet.

    This happens if the process is killed after its first COMMIT and before it stores the state.
    """
    return (stored.epoch, stored.size, stored.anchored_to) == (1, 1, None)


def _note_position(note: str) -> tuple[int, int]:
    checkpoint = Checkpoint.of_note(note)
    return checkpoint.epoch, checkpoint.size


def _check_extends(session: Session, last: Checkpoint, size: int) -> None:
    """Check that the tree of a checkpoint still has its root, and that later trees extend it."""
    try:
        if last.size > size:
            raise MerkleProofInvalid("the tree is shorter than its checkpoint")
        path = tree.consistency(session, last.epoch, last.size, size)
        new = tree.root(session, last.epoch, size)
        merkle.check_consistency(last.size, size, last.root, new, path)
    except (KeyError, MerkleProofInvalid, ValueError) as error:
        logs.warning("audit.fork", epoch=last.epoch, size=last.size)
        says = f"the database contradicts the checkpoint {last.epoch}/{last.size}; {REOPEN}"
        raise CannotSign("database-forked", says) from error


def _check_final_checkpoints(session: Session, first: int, epoch: int) -> None:
    """Check that each tree from ``first`` to before ``epoch`` has a checkpoint of its full size."""
    query = (
        sa.select(AuditCheckpoint.epoch, sa.func.max(AuditCheckpoint.size))
        .where(AuditCheckpoint.epoch >= first, AuditCheckpoint.epoch < epoch)
        .group_by(AuditCheckpoint.epoch)
    )
    finals = {int(number): int(size) for number, size in session.execute(query)}
    for number in range(first, epoch):
        if finals.get(number) is None or finals[number] != tree.size(session, number):
            says = f"tree {number} has no final checkpoint; {REOPEN}"
            raise CannotSign("database-forked", says)
