"""What may go because its time is over: the worker's purges, at once, with a count of each."""

from typing import Final

from vaultr.api import idempotency
from vaultr.api.idempotency import StoredResponse
from vaultr.auth import service as auth
from vaultr.database.purge import PurgeRule
from vaultr.mail import service as mail

MOST_ROUNDS: Final = 100_000  # of a batch each; so a purge that always wants more ends at last

_ANSWERS: Final = PurgeRule(
    "answers",
    lambda now: (StoredResponse.created_at <= now - idempotency.KEPT,),
    idempotency.delete_expired,
)
PURGE_RULES: Final[tuple[PurgeRule, ...]] = (*auth.PURGES, _ANSWERS, *mail.PURGES)


def counted() -> dict[str, int]:
    """Count what would go, by kind, and change nothing."""
    return {chore.name: chore.count() for chore in PURGE_RULES}


def done() -> dict[str, int]:
    """Remove it, batch by batch; give how many rows of each kind there were to remove."""
    removed = {}
    for chore in PURGE_RULES:
        removed[chore.name] = chore.count()
        for _ in range(MOST_ROUNDS):
            if not chore.remove():
                break
    return removed
