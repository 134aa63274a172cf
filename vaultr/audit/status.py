"""The status of the log for operators: tree, lag, keys, holds, anchors."""

from typing import Any

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit import checkpoints, sequencer_lag, signing
from vaultr.audit.models import AuditHold, AuditPending, AuditPrune
from vaultr.database.session import reading
from vaultr.settings.model import current_settings


def status() -> dict[str, Any]:
    """Return the status as `--json` prints it."""
    with reading(snapshot=True) as session:
        newest = checkpoints.newest(session)
        last = checkpoints.last_signed(session)
        pending = session.scalar(sa.select(sa.func.count()).select_from(AuditPending))
        published = signing.published(session)
        holds = session.scalars(sa.select(AuditHold.name).order_by(AuditHold.name)).all()
        pruned = session.scalars(sa.select(AuditPrune.epoch).order_by(AuditPrune.epoch)).all()
    checkpoint = None if newest is None else newest.checkpoint
    return {
        "log": None if checkpoint is None else checkpoint.log,
        "epoch": None if checkpoint is None else checkpoint.epoch,
        "size": None if checkpoint is None else checkpoint.size,
        "root": None if checkpoint is None else checkpoint.root.hex(),
        "checkpoint_age_seconds": None
        if last is None
        else round((clock.now() - last.created_at).total_seconds(), 1),
        "pending": pending,
        "lag_seconds": sequencer_lag.seconds(),
        "keys": [
            {"epoch": epoch, "fingerprint": key.fingerprint, "vkey": str(key)}
            for epoch, key in published
        ],
        "witness": None
        if checkpoint is None or not published
        else {"origin": checkpoint.origin, "vkey": str(published[-1][1])},
        "anchors": list(current_settings().audit_anchors),
        "holds": list(holds),
        "pruned": list(pruned),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Return the status as lines of text."""
    if found["epoch"] is None:
        return [f"no checkpoint yet; {found['pending']} events wait"]
    text = [
        f"log         {found['log']}",
        f"tree        {found['epoch']}, {found['size']} events, root {found['root']}",
        f"checkpoint  {found['checkpoint_age_seconds']} s old; {found['pending']} events wait",
        *(f"key         {key['fingerprint']} from tree {key['epoch']}" for key in found["keys"]),
        *(f"anchor      {anchor}" for anchor in found["anchors"]),
        *(f"hold        {name}" for name in found["holds"]),
    ]
    if not found["anchors"]:
        text.append(
            "anchor      none: anybody who controls this server and its keys can rewrite the log"
        )
    if found["witness"] is not None:
        text.append(f"witness     add {found['witness']['origin']} with {found['witness']['vkey']}")
    return text
