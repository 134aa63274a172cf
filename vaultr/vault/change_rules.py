"""A change to a vault, and the rules for changes that do not depend on the vault's contents."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from vaultr.errors import FieldError, PreconditionRequired, ServiceError, Unprocessable
from vaultr.protocol.entries import NO_ITEM, Op
from vaultr.protocol.sizes import KEY_WRAP_BYTES
from vaultr.settings.types import Rate
from vaultr.vault.errors import ItemTooLarge
from vaultr.vault.schemas import ChangeIn, EntryIn, ItemPut
from vaultr.wire import field_types
from vaultr.wire.preconditions import Precondition


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits: items and sealed bytes of a vault, sealed bytes of an item, vaults of an account.

    :ivar changes: limit for new entries in the log of a vault.
    """

    items: int
    item_bytes: int
    vault_bytes: int
    vaults: int
    changes: Rate


@dataclass(frozen=True, slots=True)
class Content:
    """The new content of an item, as a put sends it."""

    type: str
    generation: int
    content_revision: int
    overview: bytes
    detail: bytes

    @property
    def size(self) -> int:
        """Return the number of sealed bytes."""
        return len(self.overview) + len(self.detail)


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one item.

    :ivar at: JSON pointer to the change in a batch; empty for a single write.
    :ivar followed: whether a later change of the batch affects the same item.
    """

    op: Op
    item_id: UUID
    expected: Precondition
    entry: EntryIn
    content: Content | None = None
    at: str = ""
    followed: bool = False

    @classmethod
    def of_batch(cls, body: ChangeIn, at: str, *, followed: bool) -> "Change":
        """Convert one change of a batch."""
        sent = body.model_fields_set
        expected = Precondition(
            revision=body.if_match if "if_match" in sent else None,
            absent="if_none_match" in sent,
        )
        content = content_of(body) if body.op == "put" else None
        return cls(Op(body.op), body.item_id, expected, body.entry, content, at, followed)

    def field_errors(self, message: str) -> list[FieldError]:
        """Return a field error that points at this change; empty for a single write."""
        return [FieldError(self.at, message)] if self.at else []


def content_of(body: ItemPut | ChangeIn) -> Content:
    """Return the content that a put sends."""
    return Content(body.type, body.generation, body.content_revision, body.overview, body.detail)


def check(change: Change, quota: Quota) -> None:
    """Check a change without looking at the vault.

    :raises Unprocessable: the item id is all zeros, or the content revision differs from the
        entry's number.
    :raises NotSealed: a part of the content cannot be ciphertext.
    :raises ItemTooLarge: the content exceeds the size limit of an item.
    :raises PreconditionRequired: the change has no precondition.
    """
    for error in _errors(change, quota):
        raise error


def _errors(change: Change, quota: Quota) -> Iterator[ServiceError]:
    content = change.content
    if content is not None:
        if change.item_id == NO_ITEM:
            yield Unprocessable(
                errors=[FieldError(f"{change.at}/item_id", "must not be all zeros")]
            )
        if content.content_revision != change.entry.n:
            message = "must equal the number of the entry"
            yield Unprocessable(errors=[FieldError(f"{change.at}/content_revision", message)])
        parts = {"overview": content.overview, "detail": content.detail}
        unsealed = field_types.not_sealed_error(
            {f"{change.at}/{name}": parts[name] for name in parts}
        )
        if unsealed is not None:
            yield unsealed
        if content.size > quota.item_bytes:
            yield ItemTooLarge(errors=change.field_errors("too large"))
    if not change.expected.is_set:
        yield PreconditionRequired(errors=change.field_errors("without if_match or if_none_match"))


def check_sealed(quota: Quota, **parts: bytes) -> None:
    """Check sealed values other than items; each keyword is the name of its field.

    :raises NotSealed: a value cannot be ciphertext.
    :raises ItemTooLarge: a value exceeds the size limit of an item.
    """
    field_types.check_sealed({f"/{name}": data for name, data in parts.items()})
    if max(map(len, parts.values())) > quota.item_bytes:
        raise ItemTooLarge(
            "A sealed value exceeds the size limit of an item. Send a smaller value."
        )


def check_wraps(**wraps: bytes) -> None:
    """Check sealed keys; each keyword is the name of its field.

    :raises NotSealed: a wrap cannot be ciphertext.
    :raises ItemTooLarge: a wrap exceeds the maximum size of a sealed key.
    """
    field_types.check_sealed({f"/{name}": data for name, data in wraps.items()})
    large = [FieldError(f"/{n}", "too large") for n in wraps if len(wraps[n]) > KEY_WRAP_BYTES]
    if large:
        detail = f"A sealed key can have at most {KEY_WRAP_BYTES} bytes."
        raise ItemTooLarge(detail, errors=large)
