"""The blueprint of all vault routes, their lists of errors, and shared responses."""

from typing import Final

from flask import Blueprint

from vaultr import errors
from vaultr.api.operation import Answer
from vaultr.audit.errors import AuditUnavailable
from vaultr.settings.model import current_settings
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
from vaultr.vault.service import Quota
from vaultr.wire.field_types import NotSealed
from vaultr.wire.preconditions import etag

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
    """Return the limits for vaults and items."""
    settings = current_settings()
    return Quota(
        items=settings.quota_items,
        item_bytes=settings.quota_item_bytes,
        vault_bytes=settings.quota_vault_bytes,
        vaults=settings.quota_vaults,
        changes=settings.limit_changes,
    )


def tagged(view: VaultView, *, status: int = 200) -> Answer:
    """Return a response with a vault, whose revision is its ETag."""
    return Answer(view, status, etag(view.revision))
