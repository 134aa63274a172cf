"""Queries and views of the audit log."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from vaultr.audit.events import ACTIONS
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.wire import field_types

EPOCH_MOST = 10**9


def _action(value: str) -> str:
    if value not in ACTIONS:
        raise ValueError("must be a type of events, or a family of types")
    return value


Action = Annotated[
    str, AfterValidator(_action), WithJsonSchema({"type": "string", "enum": list(ACTIONS)})
]


class EventsQuery(field_types.Page):
    """Select events of one type or family (``auth.login``, ``auth``), between two times."""

    action: Action | None = Field(default=None)
    machine: field_types.Id | None = Field(default=None)
    since: field_types.Time | None = Field(default=None, alias="from")
    until: field_types.Time | None = Field(default=None, alias="to")


class CheckpointQuery(field_types.Query):
    """Select the newest checkpoint, of all trees or of one."""

    epoch: int | None = Field(default=None, ge=1, le=EPOCH_MOST)


class ConsistencyQuery(field_types.Query):
    """Select two sizes of one tree."""

    epoch: int = Field(ge=1, le=EPOCH_MOST)
    first: int = Field(ge=0, alias="from")
    second: int = Field(ge=0, alias="to")


class BundleQuery(field_types.Query):
    """Leave out events up to a number in the account's chain."""

    after: int | None = Field(default=None, ge=0)


class EventView(field_types.Out):
    """One event. ``body`` is the hashed text; four fields are null until it is sequenced."""

    id: field_types.Id
    body: str
    prev: field_types.Bytes32
    mac: field_types.Bytes32
    epoch: int | None = None
    index: int | None = None
    subject_seq: int | None = None
    subject_prev: field_types.Bytes32 | None = None

    @classmethod
    def of(cls, event: AuditEvent, leaf: AuditLeaf | None) -> "EventView":
        """Return the view of an event, with its position if a checkpoint covers it."""
        if leaf is None:
            place: dict[str, Any] = {}
        else:
            place = {
                "epoch": leaf.epoch, "index": leaf.idx, "subject_seq": leaf.subject_seq,
                "subject_prev": leaf.subject_prev,
            }  # fmt: skip
        return cls(
            id=event.event_id,
            body=event.body.decode(),
            prev=event.prev_hash,
            mac=event.mac,
            **place,
        )


class EventsView(field_types.Out):
    """A page of events, newest first."""

    events: list[EventView]
    next_cursor: str | None


class ProofView(field_types.Out):
    """An event with its leaf and its proof (C2SP tlog-proof)."""

    event: EventView
    leaf: field_types.Bytes
    proof: str


class CheckpointView(field_types.Out):
    """A checkpoint (C2SP note), the key that signed it, and the notes that changed keys.

    ``opening`` is the tree's first event, which contains the previous tree's final checkpoint.
    """

    checkpoint: str
    keys: list[str]
    key_changes: list[str]
    epoch: int
    size: int
    root: field_types.Bytes32
    opening: ProofView | None


class ConsistencyView(field_types.Out):
    """A consistency proof (RFC 9162)."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    epoch: int
    first: int = Field(alias="from")
    second: int = Field(alias="to")
    hashes: list[field_types.Bytes32]


class BundleLine(field_types.Out):
    """One line of a bundle: its head, a tree, or an event with its proof."""

    type: str | None = None
    format: str | None = None
    log: str | None = None
    account: UUID | None = None
    epoch: int | None = None
    checkpoint: str | None = None
    event: EventView | None = None
    proof: str | None = None
