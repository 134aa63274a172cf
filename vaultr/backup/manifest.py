"""The manifest of a backup: what a restored database must contain, and which keys it needs."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from vaultr.backup.errors import InvalidBackup

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The rows of a table: their number, and a digest that does not depend on their order."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class NeededKey:
    """A server key that the data needs: its setting, id and fingerprint."""

    name: str
    id: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.name} {self.id} ({self.fingerprint})"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of one backup, and the keys that they need.

    :ivar engine: ``postgresql`` or ``sqlite``.
    :ivar constraints: the definition of each constraint, by ``table.name`` (PostgreSQL).
    :ivar checkpoint: the newest checkpoint of the audit log, a signed note.
    """

    created_at: datetime
    version: str
    revision: str
    engine: str
    server: str
    tables: Mapping[str, TableDigest]
    constraints: Mapping[str, str]
    checkpoint: str | None
    keys: tuple[NeededKey, ...]
    dump_bytes: int = 0
    dump_sha256: str = ""

    @property
    def rows(self) -> int:
        """The number of rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    def encode(self) -> bytes:
        """Return the manifest as JSON."""
        facts = {"format": FORMAT, **asdict(self), "created_at": self.created_at.isoformat()}
        return json.dumps(facts, indent=1, sort_keys=True).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Manifest":
        """Read a manifest.

        :raises InvalidBackup: it is malformed, or has a format that this version does not know.
        """
        try:
            facts: dict[str, Any] = json.loads(text)
            if facts.pop("format") != FORMAT:
                raise InvalidBackup(
                    "The backup has a newer format. Use the version of Vaultr that made it."
                )
            tables = {name: TableDigest(**one) for name, one in facts.pop("tables").items()}
            keys = tuple(NeededKey(**key) for key in facts.pop("keys"))
            moment = datetime.fromisoformat(facts.pop("created_at"))
            return cls(created_at=moment, tables=tables, keys=keys, **facts)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidBackup("The backup's manifest is malformed. Use another backup.") from None
