"""The findings of a verification, and the exit code for them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MOST_LISTED: Final = 100


class Kind(StrEnum):
    """The severity of a finding."""

    TAMPERED = "tampered"
    UNVERIFIABLE = "unverifiable"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    :ivar check: the check that found it, as a word.
    :ivar epoch: the tree, if the finding is about one, and ``index`` the leaf.
    """

    kind: Kind
    check: str
    says: str
    epoch: int | None = None
    index: int | None = None


@dataclass(slots=True)
class Findings:
    """All findings of a verification; the list is limited, the counts are not.

    :ivar lag_seconds: the age of the oldest event that no tree includes.
    """

    listed: list[Finding] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    events: int = 0
    trees: int = 0
    lagging: bool = False
    lag_seconds: float = 0.0

    def tampered(
        self, check: str, says: str, *, epoch: int | None = None, index: int | None = None
    ) -> None:
        """Add a finding of tampering."""
        self._add(Finding(Kind.TAMPERED, check, says, epoch, index))

    def unverifiable(self, check: str, says: str) -> None:
        """Add a part that cannot be verified."""
        self._add(Finding(Kind.UNVERIFIABLE, check, says))

    def warning(self, check: str, says: str) -> None:
        """Add a warning."""
        self._add(Finding(Kind.WARNING, check, says))

    def _add(self, finding: Finding) -> None:
        self.counts[finding.kind] += 1
        if len(self.listed) < MOST_LISTED:
            self.listed.append(finding)

    @property
    def exit_code(self) -> int:
        """0 verified, 1 tampered, 2 cannot verify, 3 verified but lagging."""
        if self.counts[Kind.TAMPERED]:
            return 1
        if self.counts[Kind.UNVERIFIABLE]:
            return 2
        return 3 if self.lagging else 0

    @property
    def first_bad(self) -> tuple[int, int] | None:
        """The first leaf that differs from the signed tree."""
        bad = [
            (finding.epoch, finding.index)
            for finding in self.listed
            if finding.kind is Kind.TAMPERED
            and finding.epoch is not None
            and finding.index is not None
        ]
        return min(bad, default=None)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        first = self.first_bad
        return {
            "verified": self.exit_code in (0, 3),
            "exit_code": self.exit_code,
            "events": self.events,
            "trees": self.trees,
            "lag_seconds": round(self.lag_seconds, 3),
            "first_bad": None if first is None else {"epoch": first[0], "index": first[1]},
            "counts": {kind.value: count for kind, count in self.counts.items()},
            "findings": [
                {
                    "kind": finding.kind.value,
                    "check": finding.check,
                    "says": finding.says,
                    "epoch": finding.epoch,
                    "index": finding.index,
                }
                for finding in self.listed
            ],
        }
