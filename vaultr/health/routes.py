"""`/api/health` and `/api/ready`: open to anyone, without limits, on any host, over HTTP too."""

from typing import Literal

from flask import Blueprint, Response, request
from pydantic import ConfigDict

from vaultr.api.contract import public
from vaultr.api.operation import operation
from vaultr.health import client_address, readiness
from vaultr.wire.field_types import Out, Query

blueprint = Blueprint("health", __name__, url_prefix="/api")

_HEALTHY = b'{"status":"healthy"}'


class Probe(Query):
    """What a balancer adds to the address of a probe does not matter."""

    model_config = ConfigDict(extra="ignore")


class Healthy(Out):
    """This process answers."""

    status: Literal["healthy"]


class Ready(Out):
    """Requests may come here; `degraded` names what is away and can be done without for now.

    `switched_off` is there while an operator has something switched off.
    """

    ready: Literal[True] = True
    degraded: tuple[str, ...]
    switched_off: tuple[str, ...] | None = None


class NotReady(Out):
    """Requests should go elsewhere."""

    ready: Literal[False] = False
    error: Literal["Dependencies unavailable"] = "Dependencies unavailable"
    failed: tuple[str, ...]


@blueprint.get("/health")
@public
@operation(returns=Healthy)
def health(*, query: Probe) -> Response:  # noqa: ARG001 - taken so that it is not refused
    """Say that this process answers: no I/O, so that an outage elsewhere restarts no pod."""
    return Response(_HEALTHY, mimetype="application/json")


@blueprint.get("/ready")
@public
@operation(returns={200: Ready, 503: NotReady})
def ready(*, query: Probe) -> Response:  # noqa: ARG001 - taken so that it is not refused
    """Say whether requests should come here, and what is degraded or failed."""
    state = readiness.current()
    if state.failed:
        text = NotReady(failed=state.failed).model_dump_json()
        return Response(text, 503, {"Retry-After": "1"}, mimetype="application/json")
    answer = Ready(degraded=state.degraded, switched_off=state.switched_off or None)
    return Response(answer.model_dump_json(exclude_none=True), mimetype="application/json")


@blueprint.after_request
def tell_what_is_seen(response: Response) -> Response:
    """Say which client address is seen, to who proves to hold this server's keys."""
    asked = request.headers.get(client_address.ASKS)
    if asked is not None and client_address.proven(asked):
        response.headers[client_address.SEES] = f"{request.remote_addr} {request.scheme}"
    return response
