"""Check a batch without writing it, and report the effect of each change."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from vaultr.database.session import reading
from vaultr.errors import ServiceError
from vaultr.request_context import Actor
from vaultr.vault.batches import load_items, parse_changes, sent_entries
from vaultr.vault.change_rules import Change, Quota, check
from vaultr.vault.item_writes import begin_changes
from vaultr.vault.locking import read_without_lock
from vaultr.vault.log_entries import repeated_entries
from vaultr.vault.pending_changes import PendingChanges
from vaultr.vault.responses import VerdictsView, VerdictView
from vaultr.vault.schemas import ChangeIn


def dry_run(actor: Actor, vault_id: UUID, body: Sequence[ChangeIn], quota: Quota) -> VerdictsView:
    """Check all changes of a batch. Nothing is written, and no writer has to wait.

    Each change is checked on top of the valid changes before it, and its entry against the entry
    before it, so one invalid change does not make all later ones invalid. The vault may change
    before the client sends the batch.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    """
    changes = parse_changes(body)
    with reading(snapshot=True) as session:
        connection = session.connection()
        row = read_without_lock(connection, actor, vault_id)
        repeated = (
            repeated_entries(connection, vault_id, row.revision, sent_entries(changes)) is not None
        )
        pending = begin_changes(actor, vault_id, row, quota)
        load_items(connection, pending, {change.item_id for change in changes})
    verdicts = [
        VerdictView(item_id=change.item_id, ok=problem is None, problem=problem)
        for change, problem in zip(
            changes, _problems(pending, changes, repeated=repeated), strict=True
        )
    ]
    return VerdictsView(verdicts=verdicts)


def _problems(
    pending: PendingChanges, changes: Sequence[Change], *, repeated: bool
) -> Iterator[str | None]:
    problem: str | None = None
    for at, change in enumerate(changes):
        if problem is not None:  # the head after an invalid change is unknown
            pending.log.revision = changes[at - 1].entry.n
            pending.log.head = change.entry.prev
        problem = _problem(pending, change, repeated=repeated)
        yield problem


def _problem(pending: PendingChanges, change: Change, *, repeated: bool) -> str | None:
    try:
        if not repeated:
            pending.check_exists(change)
        check(change, pending.quota)
        if not repeated:
            pending.apply(change)
    except ServiceError as error:
        return error.slug
    return None
