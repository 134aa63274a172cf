"""What a request alone shows: a change to a vault, and the rules that need no look at the vault."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from vaultr.errors import FieldError, PreconditionRequired, ServiceError, Unprocessable
from vaultr.protocol.entries import NO_ITEM, Op
from vaultr.vault.errors import ItemTooLarge
from vaultr.vault.schemas import ChangeIn, EntryIn, ItemPut
from vaultr.wire import sealed_fields
from vaultr.wire.preconditions import Precondition


@dataclass(frozen=True, slots=True)
class Quota:
    """How much there may be: items and sealed bytes of a vault, bytes of an item, vaults."""

    items: int
    item_bytes: int
    vault_bytes: int
    vaults: int


@dataclass(frozen=True, slots=True)
class Content:
    """What a put brings."""

    type: str
    generation: int
    content_revision: int
    overview: bytes
    detail: bytes

    @property
    def size(self) -> int:
        """Return its sealed bytes."""
        return len(self.overview) + len(self.detail)


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one item.

    :ivar at: the pointer to it in a batch; a single write has none.
    :ivar followed: a later change of the batch is about the same item.
    """

    op: Op
    item_id: UUID
    expected: Precondition
    entry: EntryIn
    content: Content | None = None
    at: str = ""
    followed: bool = False

    @classmethod
    def of_batch(cls, given: ChangeIn, at: str, *, followed: bool) -> "Change":
        """Read one change of a batch."""
        said = given.model_fields_set
        expected = Precondition(
            revision=given.if_match if "if_match" in said else None,
            absent="if_none_match" in said,
        )
        content = content_of(given) if given.op == "put" else None
        return cls(Op(given.op), given.item_id, expected, given.entry, content, at, followed)

    def faults(self, message: str) -> list[FieldError]:
        """Point at this change; only a batch needs to."""
        return [FieldError(self.at, message)] if self.at else []


def content_of(given: ItemPut | ChangeIn) -> Content:
    """Take the content out of a put."""
    return Content(
        given.type, given.generation, given.content_revision, given.overview, given.detail
    )


def check(change: Change, quota: Quota) -> None:
    """Check what a change alone shows.

    :raises Unprocessable: it names no item, or its content another revision than its entry.
    :raises NotSealed: a part of its content cannot be ciphertext.
    :raises ItemTooLarge: its content is larger than an item may be.
    :raises PreconditionRequired: it does not say what it believes is stored.
    """
    for refusal in _against(change, quota):
        raise refusal


def _against(change: Change, quota: Quota) -> Iterator[ServiceError]:
    content = change.content
    if content is not None:
        if change.item_id == NO_ITEM:
            yield Unprocessable(errors=[FieldError(f"{change.at}/item_id", "the id of no item")])
        if content.content_revision != change.entry.n:
            message = "the number of the entry, which this is not"
            yield Unprocessable(errors=[FieldError(f"{change.at}/content_revision", message)])
        parts = {"overview": content.overview, "detail": content.detail}
        unsealed = sealed_fields.refusal_of({f"{change.at}/{name}": parts[name] for name in parts})
        if unsealed is not None:
            yield unsealed
        if content.size > quota.item_bytes:
            yield ItemTooLarge(errors=change.faults("too large"))
    if not change.expected.given:
        yield PreconditionRequired(errors=change.faults("without if_match or if_none_match"))


def check_sealed(quota: Quota, **parts: bytes) -> None:
    """Check sealed values that are no item's, each given under the name of its field.

    :raises NotSealed: one cannot be ciphertext.
    :raises ItemTooLarge: one is larger than an item may be.
    """
    sealed_fields.check({f"/{name}": data for name, data in parts.items()})
    if max(map(len, parts.values())) > quota.item_bytes:
        raise ItemTooLarge("A sealed value is larger than an item may be.")
