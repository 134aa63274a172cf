"""Practise a disaster: restore the newest backup from scratch, and measure how long that takes."""

import time
from dataclasses import dataclass

from vaultr import clock
from vaultr.backup import verify
from vaultr.backup.errors import BackupError, InvalidBackup
from vaultr.backup.storage import Location
from vaultr.ops import last_runs
from vaultr.ops.last_runs import RunKind
from vaultr.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Drill:
    """The result of a drill.

    :ivar seconds: time from nothing to a verified database: the measured RTO.
    :ivar rpo_seconds: age of the newest backup; later writes would be lost.
    :ivar problem: why the drill failed; empty if it succeeded.
    """

    ok: bool
    seconds: float
    rows: int
    revision: str | None
    rpo_seconds: float | None
    file: str | None
    problem: str

    def as_json(self) -> dict[str, object]:
        """Return the object that `--json` prints."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 2),
            "rows": self.rows,
            "revision": self.revision,
            "rpo_seconds": None if self.rpo_seconds is None else round(self.rpo_seconds),
            "file": self.file,
            "problem": self.problem or None,
        }


def drill(settings: Settings, location: Location, *, rto: float, rpo: float) -> Drill:
    """Verify the newest backup; record the drill if it met both objectives, in seconds."""
    began = time.monotonic()
    name, age = None, None
    try:
        stored = location.list()
        if not stored:
            raise InvalidBackup("There is no backup. Run `flask backup create`.")
        name = stored[-1].name
        age = (clock.now() - stored[-1].created_at).total_seconds()
        done = verify.verify(settings, location, name)
    except BackupError as error:
        seconds = time.monotonic() - began
        return Drill(
            ok=False,
            seconds=seconds,
            rows=0,
            revision=None,
            rpo_seconds=age,
            file=name,
            problem=error.detail,
        )
    seconds = time.monotonic() - began
    problem = _missed(seconds, rto, "the restore took", "--rto") or _missed(
        age, rpo, "the newest backup has an age of", "--rpo"
    )
    if not problem:
        last_runs.note(RunKind.DRILL, done.facts())
    manifest = done.manifest
    return Drill(not problem, seconds, manifest.rows, manifest.revision, age, name, problem)


def _missed(measured: float, objective: float, says: str, option: str) -> str:
    if measured <= objective:
        return ""
    return f"{says} {measured:.0f} s, more than {objective:.0f} s ({option})"
