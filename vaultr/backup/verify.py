"""Verify a backup: restore it into a scratch database, and compare it with the manifest."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.backup import digests, needed_keys, scratch, sealing
from vaultr.backup.errors import SchemaTooNew, VerificationFailed
from vaultr.backup.manifest import Manifest
from vaultr.backup.storage import Location
from vaultr.database import schema_version
from vaultr.database.session import db, postgresql, reading
from vaultr.ops import last_runs
from vaultr.ops.last_runs import RunKind
from vaultr.settings.model import Settings
from vaultr.vault import service as vault

_MOST_NAMED: Final = 5
_READERS: Final = 2  # nobody else uses a restored database yet


@dataclass(frozen=True, slots=True)
class Verified:
    """A backup that passed all checks."""

    name: str
    manifest: Manifest
    seconds: float

    def facts(self) -> dict[str, object]:
        """Return the facts that are recorded with the milestone."""
        return {
            "file": self.name,
            "seconds": round(self.seconds, 1),
            "rows": self.manifest.rows,
            "revision": self.manifest.revision,
        }


def verify(settings: Settings, location: Location, name: str) -> Verified:
    """Verify a backup, and record the result beside the backup and in the database.

    :raises VerificationFailed: the restored data differs from what was backed up.
    :raises InvalidBackup: the file cannot be read to its end.
    :raises KeysMissing: this server lacks keys that the data needs.
    :raises SchemaTooNew: its schema is newer than this version.
    """
    began = time.monotonic()
    manifest = inspect(settings, location, name)
    with scratch.database(settings, manifest.engine) as url:
        load(settings, location, name, url)
        problems = list(_problems(settings, manifest, url))
    if problems:
        more = f" ({len(problems)} problems)" if len(problems) > _MOST_NAMED else ""
        raise VerificationFailed(
            f"The backup {name} is not usable: {'; '.join(problems[:_MOST_NAMED])}{more}."
            " Use another backup, and find out why (docs/backups.md)."
        )
    done = Verified(name, manifest, time.monotonic() - began)
    location.mark_verified(name, {**done.facts(), "verified_at": clock.text(clock.now())})
    last_runs.note(RunKind.BACKUP_VERIFIED, done.facts(), at=manifest.created_at)
    return done


def inspect(settings: Settings, location: Location, name: str) -> Manifest:
    """Read a backup to its end, and check everything that must hold before the restore."""
    with location.open(name) as source:
        manifest = sealing.open_archive(source, settings)
    newest = schema_version.known()[-1]
    if manifest.revision > newest:
        raise SchemaTooNew(
            f"The backup has schema {manifest.revision}, this version of Vaultr knows schemas up"
            f" to {newest}. Use Vaultr {manifest.version} or newer."
        )
    needed_keys.check(manifest.keys)
    return manifest


def load(
    settings: Settings, location: Location, name: str, url: str, *, role: str | None = None
) -> None:
    """Restore an inspected backup into an empty database, completely or not at all."""
    with scratch.loader(url, role=role) as target, location.open(name) as source:
        sealing.open_archive(source, settings, target.write)
        target.finish()


def _problems(settings: Settings, manifest: Manifest, url: str) -> Iterator[str]:
    yield from differences(manifest, url)
    with scratch.opened(settings, url):
        try:
            yield from _problems_of_logs(manifest)
        except sa.exc.DBAPIError:
            if manifest.revision == schema_version.known()[-1]:
                raise
            yield (
                f"its schema {manifest.revision} is older, and this version cannot check its logs:"
                f" verify it with Vaultr {manifest.version}, or make a new one"
            )
        finally:
            db.session.remove()


def _problems_of_logs(manifest: Manifest) -> Iterator[str]:
    with reading(snapshot=True) as session:
        if postgresql():
            session.execute(sa.text("SET LOCAL statement_timeout = 0"))
        yield from vault.broken_logs(session)
    yield from audit.problems_of_restored_log(manifest.checkpoint)
    yield from _missing_keys(manifest)


def differences(manifest: Manifest, url: str) -> Iterator[str]:
    """Yield the differences between the tables of a restored database and the manifest."""
    if manifest.engine == "sqlite":
        path = str(sa.make_url(url).database)
        with contextlib.closing(sqlite3.connect(path)) as file:
            yield from digests.differences(manifest, digests.of_sqlite(file), {})
        return
    with digests.computed(url, connections=_READERS) as tables, scratch.connected(url) as one:
        yield from digests.differences(manifest, tables(), digests.constraints(one))


def _missing_keys(manifest: Manifest) -> Iterator[str]:
    known = {(key.name, key.id) for key in manifest.keys}
    for key in needed_keys.needed():
        if (key.name, key.id) not in known:
            yield f"the data needs the key {key}, which the manifest does not name"
