"""A dry run of a batch: what would become of each of its changes."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from vaultr.database.session import reading
from vaultr.errors import ServiceError
from vaultr.request_context import Actor
from vaultr.vault.batches import read_in, read_items, said_of
from vaultr.vault.change_rules import Change, Quota, check
from vaultr.vault.item_writes import draft_of
from vaultr.vault.locking import peek_vault
from vaultr.vault.log_entries import stored_already
from vaultr.vault.pending_changes import Draft
from vaultr.vault.responses import VerdictsView, VerdictView
from vaultr.vault.schemas import ChangeIn


def dry_run(actor: Actor, vault_id: UUID, given: Sequence[ChangeIn], quota: Quota) -> VerdictsView:
    """Judge all changes of a batch; nothing is changed, and no writer is made to wait.

    A batch that would be made is ok throughout. A change is judged on top of those before it that
    are ok, and its entry against the one before it, so that one bad change does not spoil the
    verdicts of all that follow. By the time the batch is sent the vault may have moved on.

    :raises Unauthenticated, VaultNotFound: as `lock_vault`.
    """
    changes = read_in(given)
    with reading(snapshot=True) as session:
        connection = session.connection()
        row = peek_vault(connection, actor, vault_id)
        again = stored_already(connection, vault_id, row.revision, said_of(changes)) is not None
        draft = draft_of(actor, vault_id, row, quota)
        read_items(connection, draft, {change.item_id for change in changes})
    verdicts = [
        VerdictView(item_id=change.item_id, ok=problem is None, problem=problem)
        for change, problem in zip(changes, _problems(draft, changes, again=again), strict=True)
    ]
    return VerdictsView(verdicts=verdicts)


def _problems(draft: Draft, changes: Sequence[Change], *, again: bool) -> Iterator[str | None]:
    problem: str | None = None
    for at, change in enumerate(changes):
        if problem is not None:  # the head after the change before this is not known
            draft.log.revision = changes[at - 1].entry.n
            draft.log.head = change.entry.prev
        problem = _problem(draft, change, again=again)
        yield problem


def _problem(draft: Draft, change: Change, *, again: bool) -> str | None:
    try:
        if not again:
            draft.check_there(change)
        check(change, draft.quota)
        if not again:
            draft.make(change)
    except ServiceError as refusal:
        return refusal.slug
    return None
