"""`/api/v1/audit`: the events of an account, and the proofs that they are in the log."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final
from uuid import UUID

from flask import Blueprint, Response, request, stream_with_context

from vaultr import request_context
from vaultr.api import pagination, problems
from vaultr.api.contract import PROBE_PATHS
from vaultr.api.operation import operation
from vaultr.audit import checkpoints, denied_requests, proofs, queries, self_audit, service
from vaultr.audit.errors import (
    AuditUnavailable,
    EpochUnknown,
    EventNotFound,
    LogDamaged,
    NotSequencedYet,
    SizeInvalid,
)  # fmt: skip
from vaultr.audit.proofs import Proven
from vaultr.audit.schemas import (
    BundleLine,
    BundleQuery,
    CheckpointQuery,
    CheckpointView,
    ConsistencyQuery,
    ConsistencyView,
    EventsQuery,
    EventsView,
    EventView,
    ProofView,
)  # fmt: skip
from vaultr.errors import Gone
from vaultr.request_context import current_actor
from vaultr.settings.model import current_settings

HEADER = "X-Vaultr-Checkpoint"
JSON_LINES = "application/jsonl"
# Read this many lines of a bundle before the response starts, so that an error gets a status.
_FIRST_LINES: Final = 200
_READS = frozenset({"GET", "HEAD", "OPTIONS"})

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1/audit")


@blueprint.get("/events")
@operation()
def events(*, query: EventsQuery) -> EventsView:
    """List the events about this account, newest first."""
    wanted = queries.Wanted(query.action, query.since, query.until, query.machine)
    account_id = current_actor().account_id
    purpose = f"audit:{account_id}:{wanted}"
    after = pagination.read(purpose, query.cursor)
    position = None if after is None else (int(after[0]), str(after[1]))
    found, end = queries.events_of(account_id, wanted, after=position, limit=query.limit)
    leaves = proofs.leaves_of(found)
    views = [EventView.of(event, leaves.get(event.event_id)) for event in found]
    next_cursor = None if end is None else pagination.write(purpose, *end)
    return EventsView(events=views, next_cursor=next_cursor)


@blueprint.get("/events/<uuid:event_id>/proof")
@operation(errors=(EventNotFound, NotSequencedYet, Gone, LogDamaged))
def event_proof(event_id: UUID) -> ProofView:
    """Prove that an event of this account is in the log."""
    return _proof_view(proofs.of_event(current_actor().account_id, event_id))


@blueprint.get("/checkpoint")
@operation(errors=(EpochUnknown, LogDamaged))
def checkpoint(*, query: CheckpointQuery) -> CheckpointView:
    """Return the newest checkpoint, of all trees or of one."""
    found = proofs.checkpoint(query.epoch)
    shown = found.published.checkpoint
    return CheckpointView(
        checkpoint=found.published.note,
        keys=found.keys,
        key_changes=found.key_changes,
        epoch=shown.epoch,
        size=shown.size,
        root=shown.root,
        opening=None if found.opening is None else _proof_view(found.opening),
    )


@blueprint.get("/consistency")
@operation(errors=(EpochUnknown, Gone, SizeInvalid, LogDamaged))
def consistency(*, query: ConsistencyQuery) -> ConsistencyView:
    """Prove that a tree at the size `to` extends the same tree at the size `from`."""
    hashes = proofs.consistency(query.epoch, query.first, query.second)
    return ConsistencyView(epoch=query.epoch, first=query.first, second=query.second, hashes=hashes)


@blueprint.get("/export")
@operation(errors=(LogDamaged,), media_type=JSON_LINES, returns=BundleLine)
def export(*, query: BundleQuery) -> Response:
    """Return all events of this account with their proofs, to be verified offline.

    If the server finds damage after the response has begun, the last line is a problem document.
    """
    after = -1 if query.after is None else query.after
    lines = proofs.bundle(current_actor().account_id, after=after)
    first = [*islice(lines, _FIRST_LINES)]
    rest = stream_with_context(_ending_with_problem(chain(first, lines)))
    return Response(rest, mimetype=JSON_LINES)


def _ending_with_problem(lines: Iterable[str]) -> Iterator[str]:
    try:
        yield from lines
    except LogDamaged as error:
        yield problems.document(error) + "\n"


def _proof_view(proven: Proven) -> ProofView:
    event = EventView.of(proven.event, proven.leaf)
    return ProofView(event=event, leaf=proven.leaf_bytes, proof=proven.proof)


@blueprint.before_app_request
def reject_changes_under_lag() -> None:
    """Reject changes while the log is too far behind."""
    if request.method in _READS:
        return
    if checkpoints.changes_are_rejected(current_settings().audit_lag_refuse):
        raise AuditUnavailable


@blueprint.after_app_request
def add_checkpoint(response: Response) -> Response:
    """Add the newest checkpoint to each authenticated response."""
    if request_context.actor_or_none() is not None:
        newest = checkpoints.view().newest
        if newest is not None:
            response.headers[HEADER] = newest.header
    return response


@blueprint.teardown_app_request
def record_denials(_error: BaseException | None) -> None:
    """Record the denied requests of past minutes; check that this process's events arrived."""
    if request.path in PROBE_PATHS:
        return
    if denied_requests.current().due():
        service.flush_denials()
    self_audit.run_if_due()
