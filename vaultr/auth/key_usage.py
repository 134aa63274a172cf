"""Usage of JWT_SECRET and PEPPER: how many tokens and verifiers still need each key."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.auth.models import Account, RefreshToken, WaitingSignup
from vaultr.database.session import one_statement
from vaultr.security.access_tokens import MOST_SECONDS

# A client may repeat a refresh for 30 s, and the servers' clocks may differ by as much.
_MARGIN: Final = timedelta(seconds=60)


def access_tokens_by_key() -> dict[str | None, int]:
    """Count the sessions that may have a live access token, by the JWT_SECRET that signed it.

    The key is None for tokens that an older version of the server signed.
    """
    since = clock.now() - timedelta(seconds=MOST_SECONDS) - _MARGIN
    signed = (
        sa.select(
            RefreshToken.signed_by, sa.func.count(sa.distinct(RefreshToken.session_id)).label("n")
        )
        .where(RefreshToken.created_at > since)
        .group_by(RefreshToken.signed_by)
    )
    with one_statement() as connection:
        return {row.signed_by: row.n for row in connection.execute(signed)}


def verifiers_by_key() -> dict[str, int]:
    """Count the accounts and waiting signups that have a verifier, by PEPPER."""
    found: dict[str, int] = {}
    for table in (Account, WaitingSignup):
        counted = sa.select(table.pepper_id, sa.func.count().label("n")).group_by(table.pepper_id)
        with one_statement() as connection:
            for row in connection.execute(counted):
                found[row.pepper_id] = found.get(row.pepper_id, 0) + row.n
    return found
