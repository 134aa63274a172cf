"""The precondition of a write: what the client expects to be stored."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Precondition:
    """The state that the client expects: this revision, no object, or (neither set) any state."""

    revision: int | None = None
    absent: bool = False

    @property
    def is_set(self) -> bool:
        """Whether the request has a precondition."""
        return self.absent or self.revision is not None


def etag(revision: int) -> dict[str, str]:
    """Return the ETag of a revision, as `If-Match` repeats it."""
    return {"ETag": f'"{revision}"'}
