"""`/api/health` and `/api/ready`: open to anyone, without limits, on any host, over HTTP too."""

from flask import Blueprint, Response, jsonify

from vaultr.health import readiness
from vaultr.identity.door import public

blueprint = Blueprint("health", __name__, url_prefix="/api")

_HEALTHY = b'{"status":"healthy"}'


@blueprint.get("/health")
@public
def health() -> Response:
    """Say that this process answers: no I/O, so that an outage elsewhere restarts no pod."""
    return Response(_HEALTHY, mimetype="application/json")


@blueprint.get("/ready")
@public
def ready() -> tuple[Response, int]:
    """Say whether requests should come here, and what is degraded or failed."""
    state = readiness.current()
    if state.failed:
        body = {"ready": False, "error": "Dependencies unavailable", "failed": list(state.failed)}
        return jsonify(body), 503
    return jsonify(ready=True, degraded=list(state.degraded)), 200
