"""Where a session is used, and by what kind of client; and what a change of them means.

Loose, the default: people travel and change networks, so a change is recorded, mailed, and no more.
It is looked for at each refresh, so at least every ten minutes of use. Strict: a session belongs to
the network (/24 or /48) and the kind of client that it began with. That is looked at with every
request, in the statement that asks whether the session lives; the first from elsewhere ends it.
"""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.emails import devices
from vaultr.auth.emails.devices import Use
from vaultr.auth.models import Account, Session
from vaultr.database.session import transaction
from vaultr.mail import service as mail
from vaultr.request_context import current_origin
from vaultr.settings.model import Settings

# What strict binding adds to the condition that a session lives; `s` is its row.
AT_HOME: Final = " AND s.network = :network AND s.family = :family"


def strict(settings: Settings) -> bool:
    """Tell whether a session ends where it is used from elsewhere."""
    return settings.session_binding == "strict"


def moved(row: Any) -> list[str]:
    """Tell what of this request differs from a session's row: its address, its client, or both."""
    origin = current_origin()
    known = {"address": row.network == origin.network, "client": row.family == origin.family}
    return [name for name, same in known.items() if not same]


def note_move(work: Work, session_id: UUID, row: Any) -> None:
    """Record and mail that a session is used from elsewhere; it goes on there.

    The session's row is locked, so that of parallel refreshes one finds the change.

    :param row: the session's account_id, email, device_name, network and family.
    """
    changed = moved(row)
    if not changed:
        return
    origin = current_origin()
    work.execute(
        sa.update(Session)
        .where(Session.id == session_id)
        .values(network=origin.network, family=origin.family)
        .execution_options(synchronize_session=False)
    )
    audit.record(
        Event.SESSION_REFRESH,
        account_id=row.account_id,
        session_id=session_id,
        obj=_told(session_id, row, changed),
        reason="moved",
    )
    mail.send(devices.moved(_was(row), Use.here(row.device_name)), row.email)


def end_if_moved(session_id: UUID, account_id: UUID) -> None:
    """End a session that is used from elsewhere; of parallel requests one does, and mails it."""
    with transaction() as work:
        row = work.execute(
            sa.select(
                Session.account_id, Session.device_name, Session.network, Session.family,
                Account.email,
            )
            .join(Account, Account.id == Session.account_id)
            .where(Session.id == session_id, Session.account_id == account_id)
            .with_for_update(of=Session)
        ).one_or_none()  # fmt: skip
        if row is not None and (changed := moved(row)):
            end_moved(work, session_id, row, changed)


def end_moved(work: Work, session_id: UUID, row: Any, changed: list[str]) -> None:
    """End a session for what differs; its row is locked."""
    work.execute(
        sa.delete(Session)
        .where(Session.id == session_id)
        .execution_options(synchronize_session=False)
    )
    audit.record(
        Event.SESSION_END,
        account_id=row.account_id,
        session_id=session_id,
        obj=_told(session_id, row, changed),
        out="deny",
        reason="moved",
    )
    mail.send(devices.ended_for_move(_was(row), Use.here(row.device_name)), row.email)


def _was(row: Any) -> Use:
    return Use(row.device_name, row.family, row.network)


def _told(session_id: UUID, row: Any, changed: list[str]) -> dict[str, Any]:
    """Say where it was before; where it is now stands in every event."""
    before = {"network": row.network, "client": row.family}
    return {"kind": "session", "id": str(session_id), "changed": changed, "before": before}
