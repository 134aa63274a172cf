"""Session binding (SESSION_BINDING): handle a session that moves to another network or client.

With `loose`, the default, a move is only recorded and emailed, because people change networks. Each
refresh checks for one, which is at least every ten minutes of use. With `strict`, a session may be
used only from the network (/24 or /48) and kind of client where it started. The session check of
each request includes both, and the first request from elsewhere ends the session.
"""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.emails import devices
from vaultr.auth.emails.devices import DeviceUse
from vaultr.auth.models import Account, Session
from vaultr.database.session import transaction
from vaultr.mail import service as mail
from vaultr.request_context import current_origin
from vaultr.settings.model import Settings

# The condition that strict binding adds to the session check; `s` is the session's row.
BINDING_SQL: Final = " AND s.network = :network AND s.family = :family"


def is_strict(settings: Settings) -> bool:
    """Check whether a session ends when it is used from elsewhere."""
    return settings.session_binding == "strict"


def changed_origin(row: Any) -> list[str]:
    """Return which values differ from the session's row: address, client, or both."""
    origin = current_origin()
    known = {"address": row.network == origin.network, "client": row.family == origin.family}
    return [name for name, same in known.items() if not same]


def record_move(work: Work, session_id: UUID, row: Any) -> None:
    """Record and email that a session is used from elsewhere; the session continues.

    The session's row is locked, so only one of several parallel refreshes sees the change.

    :param row: the session's account_id, email, device_name, network and family.
    """
    changed = changed_origin(row)
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
        obj=_event_object(session_id, row, changed),
        reason="moved",
    )
    mail.send(devices.moved(_previous_use(row), DeviceUse.here(row.device_name)), row.email)


def end_if_moved(session_id: UUID, account_id: UUID) -> None:
    """End a session that is used from elsewhere; only one of parallel requests sends the email."""
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
        if row is not None and (changed := changed_origin(row)):
            end_moved(work, session_id, row, changed)


def end_moved(work: Work, session_id: UUID, row: Any, changed: list[str]) -> None:
    """End a session because of the changes; its row is locked."""
    work.execute(
        sa.delete(Session)
        .where(Session.id == session_id)
        .execution_options(synchronize_session=False)
    )
    audit.record(
        Event.SESSION_END,
        account_id=row.account_id,
        session_id=session_id,
        obj=_event_object(session_id, row, changed),
        out="deny",
        reason="moved",
    )
    mail.send(
        devices.ended_for_move(_previous_use(row), DeviceUse.here(row.device_name)), row.email
    )


def _previous_use(row: Any) -> DeviceUse:
    return DeviceUse(row.device_name, row.family, row.network)


def _event_object(session_id: UUID, row: Any, changed: list[str]) -> dict[str, Any]:
    """Return the previous network and client; each event has the current ones."""
    before = {"network": row.network, "client": row.family}
    return {"kind": "session", "id": str(session_id), "changed": changed, "before": before}
