"""`/api/v1/export`: everything that the server holds about an account."""

from flask import Blueprint, Response

from vaultr.api.operation import operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.export import service
from vaultr.export.errors import ExportRunning
from vaultr.export.responses import ArchiveDocument
from vaultr.request_context import current_actor

blueprint = Blueprint("export", __name__, url_prefix="/api/v1/export")


@blueprint.get("")
@operation(
    errors=(ExportRunning, AuditUnavailable), access="read", step_up=True, returns=ArchiveDocument
)
def export() -> Response:
    """Return everything that the server holds about your account, still sealed.

    One JSON document (`vaultr-export/1`) with one record per line, from one snapshot. An account
    can have one export at a time, which takes ten minutes at most. A document without its last line
    is incomplete.
    """
    return Response(service.open_archive(current_actor()), mimetype="application/json")
