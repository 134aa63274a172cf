"""`/api/v1/audit`: what is recorded about oneself."""

from flask import Blueprint, request

from vaultr.api.contract import PROBE_PATHS
from vaultr.api.operation import operation
from vaultr.audit import denied_requests, queries, service
from vaultr.audit.schemas import EventsQuery, EventsView, EventView
from vaultr.request_context import current_actor

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1/audit")


@blueprint.get("/events")
@operation()
def events(*, query: EventsQuery) -> EventsView:
    """List the events about this account, newest first."""
    wanted = queries.Wanted(query.action, query.since, query.until)
    found, next_cursor = queries.events_of(
        current_actor().account_id, wanted, cursor=query.cursor, limit=query.limit
    )
    return EventsView(events=[EventView.of(event) for event in found], next_cursor=next_cursor)


@blueprint.teardown_app_request
def record_denials(_error: BaseException | None) -> None:
    """Record what was refused in minutes that are over, after some request or other."""
    if denied_requests.current().due() and request.path not in PROBE_PATHS:
        service.flush_denials()
