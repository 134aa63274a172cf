"""What the caller of a conditional write expects to be stored."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Precondition:
    """What the caller believes is stored: a revision, nothing, or (both unset) it does not say."""

    revision: int | None = None
    absent: bool = False

    @property
    def given(self) -> bool:
        """Whether the caller said what it believes."""
        return self.absent or self.revision is not None
