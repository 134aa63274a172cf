"""The job `audit`: move pending events into the tree, sign a checkpoint, publish and anchor it."""

import time
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.audit import (
    checkpoints,
    log_name,
    pending,
    publishing,
    recording,
    rights,
    signing,
    stream,
    subjects,
    thinning,
    tree,
)  # fmt: skip
from vaultr.audit.errors import CannotReopen, NothingToReopen
from vaultr.audit.events import Event
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPending
from vaultr.audit.pending import Gap
from vaultr.audit.sequencer_lag import SEQUENCED, LagView
from vaultr.audit.signer import CannotSign, Signer, State
from vaultr.database.base import Fact
from vaultr.database.session import one_statement, postgresql, reading, transaction
from vaultr.observability import logs, metrics
from vaultr.protocol import notes
from vaultr.protocol.merkle import Frontier
from vaultr.protocol.notes import Checkpoint
from vaultr.security import keyring
from vaultr.settings.model import Settings, current_settings

BATCH: Final = 2000
SQLITE_BATCH: Final = 200
MOST_LEAVES: Final = 10_000_000
SIGN_SECONDS: Final = 1.0
THIN_SECONDS: Final = 3600.0
# Without new events for this long, the job only looks for new ones, and checks the rest rarely.
ACTIVE_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 10.0
LOCK: Final = 0x7661756C74617564  # "vaultaud"


class Sequencer:
    """The sequencer of this process.

    :ivar halted: the reason code of the signer's last error.
    :ivar active_until: when the job becomes idle, unless events arrive.
    :ivar check_at: when an idle job checks everything again.
    """

    def __init__(self) -> None:
        self.signer: Signer | None = None
        self.permitted: bool | None = None
        self.halted: str | None = None
        self.thin_at = 0.0
        self.active_until = time.monotonic() + ACTIVE_SECONDS
        self.check_at = 0.0


_SEQUENCER: Final = AppSlot[Sequencer]("audit.sequencer")


def init_app(app: Flask, _settings: Settings) -> None:
    """Create the sequencer of the app, idle until `sequence` is called."""
    _SEQUENCER.set(app, Sequencer())


def current() -> Sequencer:
    """Return the sequencer of the running app."""
    return _SEQUENCER.get()


def forget() -> None:
    """Forget the signer's state, because the database was replaced."""
    vars(current()).update(vars(Sequencer()))


def sequence_if_due() -> bool:
    """Sequence one batch, or only look for events if none have arrived for a while.

    An idle job still checks the database, the anchors and the month every ten seconds.

    :return: whether further events wait.
    """
    sequencer, now = current(), time.monotonic()
    if sequencer.permitted:
        with one_statement() as connection:
            if connection.execute(sa.select(sa.exists(sa.select(AuditPending.event_id)))).scalar():
                sequencer.active_until = now + ACTIVE_SECONDS
        if sequencer.active_until <= now < sequencer.check_at:
            return False
    sequencer.check_at = now + IDLE_SECONDS
    return sequence()


def sequence() -> bool:
    """Sequence one batch, then publish and anchor the signed checkpoints.

    :return: whether further events wait.
    """
    sequencer = current()
    if not _permitted(sequencer):
        return False
    if sequencer.signer is None:
        keys = signing.keys()
        if keys is None:
            return False
        sequencer.signer = Signer(keys)
    try:
        more = _committed(sequencer.signer)
        if more is None:
            return False
        publishing.publish(sequencer.signer)
        stream.run()
    except CannotSign as error:
        _halt(sequencer, error)
        return False
    _resume(sequencer)
    _thin(sequencer)
    _measure()
    return more


def _permitted(sequencer: Sequencer) -> bool:
    """Check once whether this process has the key and its role the rights; if not, log it."""
    if sequencer.permitted is None:
        settings = current_settings()
        with reading() as session:
            allowed = rights.may_sequence(session.connection())
        if not allowed:
            logs.event("audit.sequencer.off", reason="role")
        elif settings.checkpoint_key is None:
            logs.event("audit.sequencer.off", reason="CHECKPOINT_KEY")
        sequencer.permitted = allowed and settings.checkpoint_key is not None
    return sequencer.permitted


def _halt(sequencer: Sequencer, error: CannotSign) -> None:
    metrics.AUDIT_HALTED.set(1)
    if sequencer.halted != error.reason:
        logs.warning("audit.signer.halted", reason=error.reason, detail=str(error))
    sequencer.halted = error.reason


def _resume(sequencer: Sequencer) -> None:
    metrics.AUDIT_HALTED.set(0)
    if sequencer.halted is not None:
        logs.event("audit.signer.resumed")
    sequencer.halted = None


def _thin(sequencer: Sequencer) -> None:
    """Thin out old checkpoints, once an hour."""
    if time.monotonic() >= sequencer.thin_at:
        sequencer.thin_at = time.monotonic() + THIN_SECONDS
        while thinning.thin():
            pass


def _measure() -> None:
    with reading() as session:
        applies, oldest = session.execute(sa.select(*LagView.columns())).one()
    lag = LagView.of(applies, oldest, clock.now())
    if lag.seconds is not None:
        metrics.AUDIT_LAG.set(lag.seconds)


def locked(session: Session) -> bool:
    """Try to take the sequencers' lock for this transaction; on SQLite the transaction is the lock.

    The job's lock is not enough: a paused process may wake up while its successor runs.
    """
    if not postgresql():
        return True
    lock = sa.text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool(session.execute(lock, {"key": LOCK}).scalar_one())


def _committed(signer: Signer) -> bool | None:
    try:
        return _batch(signer)
    except Exception:
        signer.forget_signed()
        raise


def _batch(signer: Signer) -> bool | None:
    """Run one transaction: open a tree if one is due, or append a batch; then sign if due.

    :return: whether further events wait; None if another sequencer is running.
    """
    now = clock.now()
    with transaction() as session:
        if not locked(session):
            return None
        last = checkpoints.last_signed(session)
        epoch = last.epoch if last is not None else 0
        size = tree.size(session, epoch) if epoch else 0
        state = signer.check(session, epoch, size)
        if not state.stored:
            signer.store_first(state)
        if last is None or _tree_is_due(session, signer, last, size, now):
            if last is not None and last.size < size:
                _sign(session, signer, epoch, tree.frontier(session, epoch, size), now)
                return True
            open_tree(session, signer, last, state, now=now)
            return True
        edge = tree.frontier(session, epoch, size)
        more = _append(session, epoch, edge, now)
        if edge.size > last.size and _seconds_since(last, now) >= SIGN_SECONDS:
            _sign(session, signer, epoch, edge, now)
    return more


def _seconds_since(last: AuditCheckpoint, now: datetime) -> float:
    """Return the age of a checkpoint; a negative age (a clock was set back) counts as due."""
    seconds = (now - last.created_at).total_seconds()
    return seconds if seconds >= 0 else SIGN_SECONDS


def _tree_is_due(
    session: Session, signer: Signer, last: AuditCheckpoint, size: int, now: datetime
) -> bool:
    """Check whether a new tree is due: a new month, a full tree, or a new signing key."""
    if size >= MOST_LEAVES:
        return True
    published = signing.published(session)
    if published and published[-1][1] != signer.keys.current.public:
        return True
    if not session.scalar(sa.select(sa.exists(sa.select(AuditPending.event_id)))):
        return False
    first = (
        sa.select(AuditEvent.t)
        .join(AuditLeaf, AuditLeaf.event_id == AuditEvent.event_id)
        .where(AuditLeaf.epoch == last.epoch, AuditLeaf.idx == 0)
    )
    opened = session.scalar(first)
    return opened is not None and (now.year, now.month) > (opened.year, opened.month)


def open_tree(
    session: Session,
    signer: Signer,
    last: AuditCheckpoint | None,
    state: State,
    *,
    now: datetime,
    restore: dict[str, Any] | None = None,
    by: str = "system",
) -> Checkpoint:
    """Open the next tree: its first leaf contains the previous tree's final checkpoint.

    :param restore: for `reopen`: the reason, and the signer's last checkpoint.
    """
    number = max(last.epoch if last else 0, state.checkpoint.epoch if state.checkpoint else 0) + 1
    obj: dict[str, Any] = {
        "kind": "tree",
        "epoch": number,
        "previous": last.note if last is not None else None,
        **(restore or {}),
    }
    event_id = recording.record_system(Event.LOG_EPOCH_OPEN, obj, by=by)
    edge = Frontier()
    _append(session, number, edge, now, only=event_id)
    if last is not None:
        _change_key(session, signer, last, now)
    signing.publish(session, number, signer.keys.current.public)
    return _sign(session, signer, number, edge, now)


def reopen(reason: str, *, by: str) -> Checkpoint:
    """Open a new tree after an announced restore of the database.

    :raises NothingToReopen: the signer can sign, so nothing needs to be announced.
    :raises CannotReopen: this process has no signing key, or another sequencer is running.
    """
    keys = signing.keys()
    if keys is None:
        raise CannotReopen("CHECKPOINT_KEY is not set. Run this with the sequencer's settings.")
    signer = current().signer = Signer(keys)
    with transaction() as session:
        if not locked(session):
            raise CannotReopen("A sequencer is running. Stop it, then run this command again.")
        last = checkpoints.last_signed(session)
        epoch = last.epoch if last is not None else 0
        size = tree.size(session, epoch) if epoch else 0
        try:
            signer.check(session, epoch, size)
        except CannotSign as error:
            if error.waits:
                raise CannotReopen(f"The signer does not sign: {error}.") from error
        else:
            raise NothingToReopen
        state = signer.state(session)
        restore = {
            "reason": reason,
            "signer": state.note,
            "previous_epoch": epoch,
            "leaves": size,
            "root": notes.encode(tree.root(session, epoch, size)),
        }
        checkpoint = open_tree(
            session, signer, last, state, now=clock.now(), restore=restore, by=by
        )
    publishing.publish(signer)
    return checkpoint


def _change_key(session: Session, signer: Signer, last: AuditCheckpoint, now: datetime) -> None:
    """If the signing key changed, store the note in which the old key names the new one."""
    published = signing.published(session)
    new = signer.keys.current.public
    if not published or published[-1][1] == new:
        return
    old = signer.keys.find(published[-1][1])
    if old is None:
        logs.warning("audit.key.lost", fingerprint=new.fingerprint)
        return
    final = checkpoints.of_note(last.note).checkpoint
    publishing.add_key_change(session, last.epoch, signer.keys.key_change(old, final), now)


def _append(
    session: Session, epoch: int, edge: Frontier, now: datetime, *, only: UUID | None = None
) -> bool:
    """Append a batch of pending events; return whether more wait."""
    count = BATCH if postgresql() else SQLITE_BATCH
    keys = keyring.current().audit.keys.by_id
    most = max(1, min(count, MOST_LEAVES - edge.size))
    batch = pending.read(session, keys, count=most, now=now, only=only)
    ends = subjects.read(session, {leaf.tag for leaf in batch.leaves})
    tree.append(session, epoch, edge, batch.leaves, ends)
    subjects.write(session, ends)
    _remove_pending(session, batch.done)
    metrics.AUDIT_SEQUENCED.inc(len(batch.leaves))
    for gap in batch.gaps:
        _record_gap(gap)
    if not batch.more and only is None and not batch.gaps:
        _note_empty(session)
    return batch.more and only is None


def _remove_pending(session: Session, done: list[UUID]) -> None:
    for at in range(0, len(done), SQLITE_BATCH * 10):
        some = done[at : at + SQLITE_BATCH * 10]
        session.execute(sa.delete(AuditPending).where(AuditPending.event_id.in_(some)))


def _record_gap(gap: Gap) -> None:
    kind = "mac" if gap.reason in ("mac-invalid", "key-unknown") else "gap"
    metrics.AUDIT_FAULTS.labels(kind).inc()
    logs.warning("audit.gap", event_id=str(gap.event_id), reason=gap.reason)
    recording.record_system(Event.LOG_GAP, gap.obj())


def _note_empty(session: Session) -> None:
    """Record that the backlog was empty once; from now on the lag limits apply."""
    if session.get(Fact, SEQUENCED) is None:
        session.add(Fact(name=SEQUENCED, value=clock.text(clock.now()).encode()))


def _sign(
    session: Session, signer: Signer, epoch: int, edge: Frontier, now: datetime
) -> Checkpoint:
    """Sign the tree in its current state, and store the checkpoint unpublished."""
    checkpoint = Checkpoint(log_name.current(), epoch, edge.size, edge.root())
    note = signer.sign(checkpoint)
    checkpoints.add(session, checkpoint, note, now)
    return checkpoint
