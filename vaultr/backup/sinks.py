"""Everything that a server writes, as streams of bytes to search.

Nothing here opens an item: sealed values are searched in their stored form.
"""

import contextlib
import email
import email.policy
import json
import os
import sqlite3
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
import sqlalchemy as sa

from vaultr.backup import programs, scratch, sealing
from vaultr.backup.errors import BackupError, NotConfigured
from vaultr.backup.programs import Address
from vaultr.backup.storage import Location
from vaultr.settings.model import Settings

Feed = Callable[[bytes], object]
_PIECE_BYTES: Final = 1024 * 1024
_ROWS: Final = 500
_REDIS_SECONDS: Final = 30
_METRICS_SECONDS: Final = 30
_EMAIL_BYTES: Final = 64 * 1024 * 1024
_PG_DUMP: Final = b"PGDMP"


class SinkUnreadable(BackupError):
    """A sink cannot be read, so its content is unknown."""


class NotSearched(Exception):
    """This server has no such sink, or its place was not specified; the message names it."""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of sinks that no setting names.

    :ivar metrics: files, or URLs that begin with ``http``.
    """

    location: Location | None
    logs: Sequence[Path] = ()
    metrics: Sequence[str] = ()
    emails: Sequence[Path] = ()
    traces: Sequence[Path] = ()


def database(settings: Settings, _places: Places, feed: Feed) -> str:
    """Read every value of every table and, with SQLite, every page, including free ones."""
    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite"):
        _read_pages(Path(str(sa.make_url(url).database)), feed)
    with scratch.connected(url) as connection:
        streamed = connection.execution_options(stream_results=True, max_row_buffer=_ROWS)
        for name in sa.inspect(connection).get_table_names():
            quoted = connection.dialect.identifier_preparer.quote(name)
            for row in streamed.exec_driver_sql(f"SELECT * FROM {quoted}"):  # nosec B608 - a name of the catalog
                feed(b"\n".join(_bytes_of(value) for value in row) + b"\n")
    return "every row of every table"


def _read_pages(database: Path, feed: Feed) -> None:
    """Read a copy of the file: closing the file itself would release this process's locks on it."""
    with tempfile.TemporaryDirectory(prefix=".vaultr-search-", dir=database.parent) as folder:
        copy = Path(folder) / database.name
        copy.touch(0o600)
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        _read_file(copy, feed)


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False).encode()
    return str(value).encode("utf-8", "surrogatepass")


def dump(settings: Settings, _places: Places, feed: Feed) -> str:
    """Read the output of `pg_dump`, or SQLite's own dump."""
    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(str(sa.make_url(url).database))) as connection:
            for line in connection.iterdump():
                feed(line.encode("utf-8", "surrogatepass"))
        return "an SQL script of SQLite"
    for piece in programs.dump_as_script(Address.of(url)):
        feed(piece)
    return "pg_dump --format=plain"


def redis_keys(settings: Settings, _places: Places, feed: Feed) -> str:
    """Read all keys and values of Redis."""
    if settings.redis_url is None:
        raise NotSearched("REDIS_URL is not set")
    tls = {} if settings.redis_ca is None else {"ssl_ca_data": settings.redis_ca}
    client: Any = redis.Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=_REDIS_SECONDS, **tls
    )
    try:
        with client:
            for key in client.scan_iter(count=_ROWS):
                feed(b"\n".join([key, *_flat(_value_of(client, key))]) + b"\n")
    except (redis.RedisError, OSError) as error:
        raise SinkUnreadable(f"Redis cannot be read: {type(error).__name__}.") from None
    return "every key with its value"


def _value_of(client: Any, key: bytes) -> Any:
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"zset": lambda name: client.zrange(name, 0, -1),
        b"stream": client.xrange,
    }
    kind = client.type(key)
    if kind == b"none":  # the key has expired
        return b""
    return readers[kind](key) if kind in readers else client.dump(key)


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for pair in value.items():
            yield from _flat(list(pair))
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _flat(part)
    elif value is not None:
        yield value if isinstance(value, bytes) else str(value).encode()


def logs(_settings: Settings, places: Places, feed: Feed) -> str:
    """Read log files of the server, the worker, the proxy and log collectors."""
    return _files(places.logs, feed, "--logs")


def metrics(_settings: Settings, places: Places, feed: Feed) -> str:
    """Read metrics, from their URLs or from files."""
    if not places.metrics:
        raise NotSearched("name a file or URL: --metrics")
    for place in places.metrics:
        if not place.startswith(("http://", "https://")):
            _files([Path(place)], feed, "--metrics")
            continue
        try:
            with urllib.request.urlopen(place, timeout=_METRICS_SECONDS) as response:  # nosec B310 - http, see above
                while piece := response.read(_PIECE_BYTES):
                    feed(piece)
        except (OSError, ValueError) as error:
            raise SinkUnreadable(f"{place} cannot be read: {type(error).__name__}.") from None
    return f"{len(places.metrics)} places"


def emails(settings: Settings, places: Places, feed: Feed) -> str:
    """Read emails as files, raw and decoded; the outbox is part of the database."""
    folder = settings.vaultr_home / "mail"
    of_development = [folder] if settings.smtp_host is None and folder.is_dir() else []
    return _files([*places.emails, *of_development], feed, "--emails", _read_email)


def traces(_settings: Settings, places: Places, feed: Feed) -> str:
    """Read traces, as a collector wrote them."""
    return _files(places.traces, feed, "--traces")


def _read_file(path: Path, feed: Feed) -> None:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                feed(piece)
    except OSError as error:
        _unreadable(error)


def _files(
    paths: Sequence[Path],
    feed: Feed,
    option: str,
    read: Callable[[Path, Feed], object] = _read_file,
) -> str:
    if not paths:
        raise NotSearched(f"name a file or folder: {option}")
    count = 0
    for path in paths:
        for file in _walked(path):
            read(file, feed)
            count += 1
    return f"{count} files"


def _walked(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path, onerror=_unreadable):
        yield from (Path(folder) / name for name in sorted(names))


def _unreadable(error: OSError) -> None:
    raise SinkUnreadable(f"{error.filename} cannot be read: {error.strerror}.") from None


def _read_email(path: Path, feed: Feed) -> None:
    """Read a message decoded, because base64 and quoted-printable split a marker over lines."""
    _read_file(path, feed)
    with path.open("rb") as file:
        message = email.message_from_bytes(file.read(_EMAIL_BYTES), policy=email.policy.compat32)
    for part in message.walk():
        body = part.get_payload(decode=True)
        if isinstance(body, bytes):
            feed(body)


def backup(settings: Settings, places: Places, feed: Feed) -> str:
    """Read the newest backup as stored and, with the identity, the dump inside."""
    if places.location is None:
        raise NotSearched("no location: set BACKUP_LOCATION, or use --dir")
    stored = places.location.list()
    if not stored:
        raise NotSearched("the location has no backup")
    name = stored[-1].name
    with places.location.open(name) as source:
        while piece := source.read(_PIECE_BYTES):
            feed(piece)
    try:
        with places.location.open(name) as source:
            _read_archive(settings, source, feed)
    except NotConfigured:
        return f"{name}, sealed; with BACKUP_IDENTITY_FILE also what is inside"
    return f"{name}, as stored and opened"


def _read_archive(settings: Settings, source: sealing.ReadableFile, feed: Feed) -> None:
    """Read the dump as an SQL script, because `pg_dump` compresses it in blocks."""
    targets: list[Feed] = []
    with contextlib.ExitStack() as stack:

        def on_dump(piece: bytes) -> None:
            if not targets:
                of_postgresql = piece.startswith(_PG_DUMP)
                unpacked = stack.enter_context(programs.unpacked(feed)) if of_postgresql else feed
                targets.append(unpacked)
            targets[0](piece)

        manifest = sealing.open_archive(source, settings, on_dump)
    feed(manifest.encode())


SINKS: Final[dict[str, Callable[[Settings, Places, Feed], str]]] = {
    "database": database,
    "dump": dump,
    "redis": redis_keys,
    "logs": logs,
    "metrics": metrics,
    "emails": emails,
    "traces": traces,
    "backup": backup,
}
