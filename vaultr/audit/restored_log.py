"""Verify the audit log of a restored database against its checkpoint and the anchors."""

from collections.abc import Iterator

from vaultr.audit import anchor_kinds
from vaultr.audit.anchor_kinds import AnchorFailed
from vaultr.audit.verification import run
from vaultr.audit.verification.findings import Kind
from vaultr.protocol.notes import Checkpoint, NoteInvalid
from vaultr.security import keyring
from vaultr.settings.model import current_settings


def problems_of_restored_log(checkpoint: str | None) -> Iterator[str]:
    """Yield the findings of `flask audit verify --cross` in the current database.

    :param checkpoint: the newest checkpoint at the time of the backup. Newer anchors are ignored.
    """
    options = run.Options(
        keys=keyring.current().audit.keys.by_id,
        anchors=[*([checkpoint] if checkpoint else ()), *_older_anchors(checkpoint)],
        cross=True,
    )
    findings, _ = run.verify(options)
    # Before the first checkpoint of a new installation, no key exists to verify with.
    failures = {Kind.TAMPERED} if checkpoint is None else {Kind.TAMPERED, Kind.UNVERIFIABLE}
    for finding in findings.listed:
        if finding.kind in failures:
            yield f"audit log: {finding.says}"


def _older_anchors(checkpoint: str | None) -> Iterator[str]:
    """Yield the anchored checkpoints that the backup must contain."""
    if checkpoint is None:
        return
    newest = _tree_and_size(checkpoint)
    settings = current_settings()
    for url in settings.audit_anchors:
        try:
            note = anchor_kinds.of(url, settings).newest()
        except AnchorFailed:
            continue
        if note is not None and newest is not None and (_tree_and_size(note) or newest) <= newest:
            yield note


def _tree_and_size(note: str) -> tuple[int, int] | None:
    try:
        checkpoint = Checkpoint.of_note(note)
    except NoteInvalid:
        return None
    return checkpoint.epoch, checkpoint.size
