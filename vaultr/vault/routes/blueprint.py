"""What all routes of vaults share: their blueprint, what they may refuse, the forms of answers."""

from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, current_app
from werkzeug.datastructures import Headers

from vaultr import errors
from vaultr.api.operation import Answer
from vaultr.audit.errors import AuditUnavailable
from vaultr.settings.model import Settings
from vaultr.vault.change_rules import Quota
from vaultr.vault.errors import (
    GenerationMoved,
    HeadMoved,
    InTrash,
    ItemConflict,
    ItemNotFound,
    ItemTooLarge,
    QuotaExceeded,
    RevisionMoved,
    VaultNotFound,
)
from vaultr.vault.responses import VaultView
from vaultr.wire.sealed_fields import NotSealed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("vaults", __name__, url_prefix="/api/v1/vaults")

READ: Final = (VaultNotFound, AuditUnavailable)
WRITE: Final = (*READ, HeadMoved, errors.Unprocessable)
SEALED: Final = (NotSealed, ItemTooLarge)
WRITE_ITEM: Final = (
    *WRITE,
    ItemNotFound,
    RevisionMoved,
    errors.PreconditionRequired,
    InTrash,
    ItemConflict,
)
PUT: Final = (*WRITE_ITEM, *SEALED, GenerationMoved, QuotaExceeded)


def quota() -> Quota:
    """Give what a vault and its items may have."""
    settings: Settings = current_app.config["SETTINGS"]
    return Quota(
        items=settings.quota_items,
        item_bytes=settings.quota_item_bytes,
        vault_bytes=settings.quota_vault_bytes,
        vaults=settings.quota_vaults,
    )


def tagged(view: VaultView, *, status: int = 200) -> Answer:
    """Answer with a vault, whose revision is its tag."""
    return Answer(view, status, {"ETag": f'"{view.revision}"'})


class _Finished(Response):
    """A response whose headers need no correction: Werkzeug would look through all of them."""

    def get_wsgi_headers(self, _environ: "WSGIEnvironment") -> Headers:
        """Give the headers as they are."""
        return self.headers


def json(body: str | None, *, tag: str | None = None) -> Response:
    """Send JSON as it is; without a body the caller has it already."""
    if body is None:
        response = _Finished(status=304)
        response.headers.pop("Content-Type", None)
    else:
        data = body.encode()
        response = _Finished(data, mimetype="application/json")
        response.headers["Content-Length"] = str(len(data))
    if tag is not None:
        response.headers["ETag"] = f'"{tag}"'
    return response
