"""What all routes of vaults share: their blueprint, what they may refuse, the forms of answers."""

from typing import Final

from flask import Blueprint, Response, current_app

from vaultr import errors
from vaultr.audit.errors import AuditUnavailable
from vaultr.ciphertext import NotSealed
from vaultr.operation import Answer
from vaultr.settings import Settings
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
from vaultr.vault.rules import Quota
from vaultr.vault.views import VaultView

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


def json(body: str | None, *, tag: str | None = None) -> Response:
    """Send JSON as it is; without a body the caller has it already."""
    if body is None:
        response = Response(status=304)
        response.headers.pop("Content-Type", None)
    else:
        response = Response(body, mimetype="application/json")
    if tag is not None:
        response.headers["ETag"] = f'"{tag}"'
    return response
