"""The account as its owner sees it, and writes of the sealed profile."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.account_lock import lock_own_account
from vaultr.auth.errors import StaleRevision
from vaultr.auth.models import Account, KeySet
from vaultr.auth.queries import OWNER, Owner
from vaultr.auth.schemas import ProfileIn
from vaultr.database.session import one_statement, transaction
from vaultr.errors import PreconditionRequired, Unauthenticated
from vaultr.request_context import Actor
from vaultr.wire import field_types
from vaultr.wire.preconditions import Precondition, etag


def read_account(actor: Actor) -> Owner:
    """Return the actor's account with its key set.

    :raises Unauthenticated: the account was deleted after authentication.
    """
    with one_statement() as connection:
        row = connection.execute(OWNER, {"account": actor.account_id}).one_or_none()
    if row is None:
        raise Unauthenticated
    return Owner(*row)


def owner_address(work: Work, account_id: UUID) -> str:
    """Return the email address of an account."""
    address = sa.select(Account.email).where(Account.id == account_id)
    return work.scalars(address).one()


def write_profile(actor: Actor, body: ProfileIn, expected: Precondition) -> int:
    """Replace the sealed profile, and increase its revision by one.

    The account is locked, so only one of several parallel writes of a revision succeeds. A repeated
    request is rejected as stale; its error has the stored revision, which shows the client that the
    first request succeeded.

    :raises NotSealed: the value cannot be a sealed value.
    :raises PreconditionRequired: no If-Match.
    :raises StaleRevision: the stored revision is not the expected one, or ``revision`` is not the
        next one; the error has the stored one.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    field_types.check_sealed({"/sealed": body.sealed})
    if not expected.is_set:
        raise PreconditionRequired
    with transaction() as work:
        lock_own_account(work, actor)
        query = sa.select(KeySet.profile_revision).where(KeySet.account_id == actor.account_id)
        stored = work.execute(query.with_for_update()).scalar_one_or_none()
        if stored is None:
            raise Unauthenticated
        if expected.revision != stored or body.revision != stored + 1:
            raise StaleRevision(members={"revision": stored}, headers=etag(stored))
        written = audit.record(
            Event.PROFILE_WRITE,
            account_id=actor.account_id,
            obj={"kind": "profile", "from": stored, "to": body.revision},
        )
        work.execute(
            sa.update(KeySet)
            .where(KeySet.account_id == actor.account_id)
            .values(profile=body.sealed, profile_revision=body.revision, audit_event_id=written)
        )
    return body.revision
