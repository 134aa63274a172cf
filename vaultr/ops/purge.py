"""Run all purges of the worker together, and count the rows of each kind."""

from typing import Final

from vaultr.api import idempotency
from vaultr.api.idempotency import StoredResponse
from vaultr.auth import service as auth
from vaultr.database.purge import PurgeRule
from vaultr.mail import service as mail

MOST_ROUNDS: Final = (
    100_000  # of one batch each, so that a purge that always reports more rows still ends
)

_ANSWERS: Final = PurgeRule(
    "answers",
    lambda now: (StoredResponse.created_at <= now - idempotency.KEPT,),
    idempotency.delete_expired,
)
PURGE_RULES: Final[tuple[PurgeRule, ...]] = (*auth.PURGES, _ANSWERS, *mail.PURGES)


def counted() -> dict[str, int]:
    """Count the expired rows by kind, and delete nothing."""
    return {rule.name: rule.count() for rule in PURGE_RULES}


def done() -> dict[str, int]:
    """Delete expired rows batch by batch, and return the number of each kind."""
    removed = {}
    for rule in PURGE_RULES:
        removed[rule.name] = rule.count()
        for _ in range(MOST_ROUNDS):
            if not rule.remove():
                break
    return removed
