"""`/api/health` and `/api/ready`: public, without limits, on any host, also over plain HTTP."""

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
    """Query parameters, which are ignored: load balancers add some."""

    model_config = ConfigDict(extra="ignore")


class Healthy(Out):
    """The process is alive."""

    status: Literal["healthy"]


class Ready(Out):
    """Requests may be sent here; `degraded` lists missing dependencies that are not required now.

    `switched_off` is present while an operator has switched a feature off.
    """

    ready: Literal[True] = True
    degraded: tuple[str, ...]
    switched_off: tuple[str, ...] | None = None


class NotReady(Out):
    """Requests should be sent elsewhere."""

    ready: Literal[False] = False
    error: Literal["Dependencies unavailable"] = "Dependencies unavailable"
    failed: tuple[str, ...]


@blueprint.get("/health")
@public
@operation(returns=Healthy)
def health(*, query: Probe) -> Response:  # noqa: ARG001 - accepted and ignored
    """Return 200 without any I/O, so that an outage elsewhere does not restart pods."""
    return Response(_HEALTHY, mimetype="application/json")


@blueprint.get("/ready")
@public
@operation(returns={200: Ready, 503: NotReady})
def ready(*, query: Probe) -> Response:  # noqa: ARG001 - accepted and ignored
    """Return whether requests should be sent here, and which dependencies are missing."""
    state = readiness.current()
    if state.failed:
        text = NotReady(failed=state.failed).model_dump_json()
        return Response(text, 503, {"Retry-After": "1"}, mimetype="application/json")
    body = Ready(degraded=state.degraded, switched_off=state.switched_off or None)
    return Response(body.model_dump_json(exclude_none=True), mimetype="application/json")


@blueprint.after_request
def show_client_address(response: Response) -> Response:
    """Return the client address, if the request has a token made with the server's keys."""
    asked = request.headers.get(client_address.REQUEST_HEADER)
    if asked is not None and client_address.is_valid_token(asked):
        response.headers[client_address.RESPONSE_HEADER] = f"{request.remote_addr} {request.scheme}"
    return response
