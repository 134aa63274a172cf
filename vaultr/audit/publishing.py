"""Publish signed checkpoints: first to the state file, then in the table, then to the anchors."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import anchors, checkpoints, state_file
from vaultr.audit.models import AuditCheckpoint, AuditKeyChange
from vaultr.audit.signer import CannotSign, Signer
from vaultr.database.session import reading, transaction


def publish(signer: Signer) -> None:
    """Publish the newest checkpoint, and send each anchor the notes that it does not have yet.

    The signer's state is stored before anyone can see the checkpoint. Without a state file, an
    anchor serves as the state, so anchors are tried first.
    """
    with reading() as session:
        row = checkpoints.last_signed(session)
    try:
        signer.remember(None if row is None else row.note)
    except OSError as error:
        says = "the state file cannot be written"
        raise CannotSign("state-unwritable", says, waits=True) from error
    if row is not None and row.anchored_to is None:
        if state_file.path() is None:
            anchors.send_first()
        _mark_published(row.epoch)
    anchors.catch_up()


def _mark_published(epoch: int) -> None:
    with transaction() as session:
        session.execute(
            sa.update(AuditCheckpoint)
            .where(AuditCheckpoint.anchored_to.is_(None), AuditCheckpoint.epoch <= epoch)
            .values(anchored_to="[]")
        )
        session.execute(
            sa.update(AuditKeyChange)
            .where(AuditKeyChange.anchored_to.is_(None), AuditKeyChange.epoch < epoch)
            .values(anchored_to="[]")
        )


def add_key_change(session: Session, epoch: int, note: str, now: datetime) -> None:
    """Store a note about a change of key, not yet anchored."""
    session.add(AuditKeyChange(epoch=epoch, note=note, created_at=now, anchored_to=None))
    session.flush()
