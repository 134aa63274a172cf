"""Export the whole log as JSON lines that verify offline."""

import json
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from vaultr.audit import checkpoints, log_name, signing, tree
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPrune
from vaultr.database.session import reading
from vaultr.protocol.encoding import b64

FORMAT: Final = "vaultr-audit-log/1"
_PAGE: Final = 1000


def lines() -> Iterator[str]:
    """Yield a header, the pruned trees, and for each tree its events and checkpoints in order."""
    with reading(snapshot=True) as session:
        keys = [str(key) for _, key in signing.published(session)]
        yield _line(
            format=FORMAT, log=log_name.current(), keys=keys,
            key_changes=checkpoints.key_changes(session),
        )  # fmt: skip
    with reading(snapshot=True) as session:
        for pruned in session.scalars(sa.select(AuditPrune).order_by(AuditPrune.epoch)):
            yield _line(type="pruned", epoch=pruned.epoch, checkpoint=pruned.checkpoint)
        trees = session.scalars(sa.select(AuditLeaf.epoch).distinct()).all()
        for epoch in sorted(trees):
            newest = epoch == max(trees)
            size = 0
            query = sa.select(AuditCheckpoint).where(AuditCheckpoint.epoch == epoch)
            for row in session.scalars(query.order_by(AuditCheckpoint.size)).all():
                for event, leaf in _leaves(session, epoch, size, row.size):
                    yield _event(event, leaf)
                size = row.size
                yield _line(type="checkpoint", epoch=epoch, checkpoint=row.note)
            if not newest:  # after a restore, a tree may have events after its last checkpoint
                for event, leaf in _leaves(session, epoch, size, tree.size(session, epoch)):
                    yield _event(event, leaf)


def _leaves(session: Any, epoch: int, begin: int, end: int) -> Iterator[Any]:
    while begin < end:
        query = (
            sa.select(AuditEvent, AuditLeaf)
            .join(AuditLeaf, AuditLeaf.event_id == AuditEvent.event_id)
            .where(AuditLeaf.epoch == epoch, AuditLeaf.idx >= begin, AuditLeaf.idx < end)
            .order_by(AuditLeaf.idx)
            .limit(_PAGE)
        )
        rows = session.execute(query).all()
        if not rows:
            return
        yield from rows
        begin = rows[-1][1].idx + 1
        session.expunge_all()


def _event(event: AuditEvent, leaf: AuditLeaf) -> str:
    return _line(
        type="leaf", epoch=leaf.epoch, index=leaf.idx, body=event.body.decode(),
        prev=b64(event.prev_hash), mac=b64(event.mac), subject_seq=leaf.subject_seq,
        subject_prev=b64(leaf.subject_prev),
    )  # fmt: skip


def _line(**members: Any) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"
