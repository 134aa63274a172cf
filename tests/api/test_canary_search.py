"""`flask canary search`: it passes on a clean server, and finds a leak in any sink."""

import base64
import contextlib
import gzip
import json
import sqlite3
import zlib
from email.message import EmailMessage
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from tests.harness import app_fixtures, backups
from vaultr.audit.models import AuditEvent
from vaultr.backup import create, sinks
from vaultr.backup.folder import Folder
from vaultr.backup.marker_search import Search
from vaultr.database.session import db, transaction
from vaultr.protocol.canary import FORMAT, Marker, to_json
from vaultr.settings.model import current_settings

pytestmark = pytest.mark.usefixtures("migrated_to_newest")
LEAK = 'vk12ab34-"leaked" Grüße'
MARKERS = [Marker("login.password", LEAK), Marker("account.secret-key", bytes(range(32)))]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "canary.json"
    path.write_text(json.dumps({"format": FORMAT, "markers": to_json(MARKERS)}))
    return path


@pytest.fixture
def places(tmp_path):
    """A folder with a harmless file for each file-based sink."""
    folders = {name: tmp_path / name for name in ("logs", "metrics", "emails", "traces", "backups")}
    for name, folder in folders.items():
        folder.mkdir()
        if name != "backups":
            (folder / "harmless").write_text("nothing secret\n")
    return folders


@pytest.fixture
def search(app, file, places, tmp_path, set_to, monkeypatch):
    """Run `flask canary search FILE` with all sinks; return its result and exit code."""
    identity, recipient = backups.new_identity(tmp_path)
    sealed_for = {"recipient": recipient, "identity": identity}
    with backups.commands(app, places["backups"], set_to, monkeypatch, **sealed_for):

        def run(*more):
            words = ["canary", "search", str(file), "--json", *more]
            for name in ("logs", "emails", "traces"):
                words += [f"--{name}", str(places[name])]
            words += ["--metrics", str(places["metrics"] / "harmless")]
            done = app.test_cli_runner().invoke(args=words)
            assert done.stdout.startswith("{"), done.output
            return json.loads(done.stdout), done.exit_code

        yield run


def back_up(places):
    backups.fill()
    return create.create(current_settings(), Folder(places["backups"])).name


def leak_into_database():
    with transaction() as session:
        session.execute(sa.update(AuditEvent).values(detail=zlib.compress(LEAK.encode())))


def found_by(sink, places):
    """Return the markers found in one sink."""
    looking = Search({one.name: one.value for one in MARKERS})
    sinks.SINKS[sink](current_settings(), places, looking.feed)
    looking.end()
    return looking.found


def by_sink(answer):
    return {one["sink"]: one["found"] for one in answer["sinks"]}


@pytest.mark.both_databases
def test_clean_server_passes(search, places):
    back_up(places)

    answer, code = search()

    assert code == 0, answer
    assert answer["ok"] is True
    assert answer["markers"] == 2
    assert by_sink(answer) == {sink: [] for sink in sinks.SINKS}
    with_redis = current_settings().redis_url is not None
    assert [one["sink"] for one in answer["sinks"] if not one["searched"]] == (
        [] if with_redis else ["redis"]
    )


@pytest.mark.both_databases
def test_leak_in_a_row_is_found_in_database_and_backup(search, places):
    backups.fill()
    leak_into_database()
    create.create(current_settings(), Folder(places["backups"]))

    answer, code = search()

    assert code == 1
    assert answer["ok"] is False
    assert by_sink(answer)["database"] == ["login.password"]
    assert by_sink(answer)["logs"] == []


def test_leak_in_plain_text_is_found_in_dump_and_backup(search, places):
    backups.fill()
    with transaction() as session:
        session.execute(sa.update(AuditEvent).values(detail=LEAK.encode()))
    create.create(current_settings(), Folder(places["backups"]))

    answer, code = search()

    assert code == 1
    found = by_sink(answer)
    assert [sink for sink in found if found[sink]] == ["database", "dump", "backup"]


def test_deleted_row_of_sqlite_is_found_in_its_file(sqlite_app):
    app_fixtures.empty(sqlite_app)
    with sqlite_app.app_context():
        backups.fill()
        with transaction() as session:
            session.execute(sa.update(AuditEvent).values(detail=LEAK.encode()))
        path = Path(db.engine.url.database)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite turn it on
            connection.execute("DELETE FROM audit_event")
            connection.commit()

        found = found_by("database", sinks.Places(None))
        folder = path.parent

    assert found == {"login.password"}
    assert not list(folder.glob(".vaultr-search-*"))


def leaking_email():
    message = EmailMessage()
    message["Subject"] = "Hello"
    message.set_content("x" * 70 + LEAK, cte="quoted-printable")
    return message.as_bytes()


@pytest.mark.parametrize(
    ("sink", "name", "content"),
    [
        ("logs", "server.log.1.gz", gzip.compress(json.dumps({"body": LEAK}).encode(), mtime=0)),
        ("metrics", "harmless", LEAK.encode().hex().encode()),
        ("emails", "1.eml", leaking_email()),
        ("traces", "spans.json", base64.b64encode(b"a" + LEAK.encode())),
        ("traces", "spans.bin", b"key" + bytes(range(32))),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_leak_in_a_file_is_found_in_its_sink(app, places, sink, name, content):
    (places[sink] / name).write_bytes(content)
    files = {"logs": [places["logs"]], "emails": [places["emails"]], "traces": [places["traces"]]}
    metrics = [str(places["metrics"] / "harmless")]

    with app.app_context():
        results = {
            one: found_by(one, sinks.Places(None, metrics=metrics, **files))
            for one in ("logs", "metrics", "emails", "traces")
        }

    assert len(results.pop(sink)) == 1
    assert set().union(*results.values()) == set()


@pytest.mark.parametrize("kind", ["key", "string", "hash", "list", "set", "zset", "stream"])
def test_leak_in_redis_is_found(app, redis_url, kind):
    with redis.Redis.from_url(redis_url) as client:
        client.set("counter", "1")
        {
            "key": lambda: client.set(LEAK, "1"),
            "string": lambda: client.set("a", LEAK),
            "hash": lambda: client.hset("a", "field", LEAK),
            "list": lambda: client.rpush("a", "1", LEAK),
            "set": lambda: client.sadd("a", LEAK),
            "zset": lambda: client.zadd("a", {LEAK: 1}),
            "stream": lambda: client.xadd("a", {"field": LEAK}),
        }[kind]()

    with app.app_context():
        found = found_by("redis", sinks.Places(None))

    assert found == {"login.password"}


def test_table_names_sinks_and_markers(app, file, places, search):
    (places["logs"] / "server.log").write_text(LEAK)
    words = ["canary", "search", str(file), "--logs", str(places["logs"])]

    done = app.test_cli_runner().invoke(args=words)

    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert lines[0].split() == ["MARKER", *(sink.upper() for sink in sinks.SINKS)]
    assert lines[1].startswith("login.password")
    assert "FOUND" in lines[1]
    assert "FOUND" not in lines[2]
    assert "backup: not searched: the location has no backup" in lines
    assert lines[-1] == "FAILED: markers were found"
    assert LEAK not in done.output


def test_sink_without_location_fails_complete_search(app, file, search):
    words = ["canary", "search", str(file)]

    usual = app.test_cli_runner().invoke(args=words)
    complete = app.test_cli_runner().invoke(args=[*words, "--complete"])

    assert (usual.exit_code, complete.exit_code) == (0, 1)
    assert "traces: not searched: name a file or folder: --traces" in complete.output


def test_sealed_backup_is_searched_without_the_identity(app, search, places, set_to):
    name = back_up(places)
    set_to(app, backup_identity_file=None)

    answer, code = search()

    [note] = [one["note"] for one in answer["sinks"] if one["sink"] == "backup"]
    assert code == 0
    assert note == f"{name}, sealed; with BACKUP_IDENTITY_FILE also what is inside"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not JSON", "not a file of `vaultr canary plant`"),
        ("{}", "not a file of `vaultr canary plant`"),
        (json.dumps({"format": FORMAT, "markers": []}), "no markers"),
        (json.dumps({"format": FORMAT, "markers": [{"text": "12345678"}]}), "without a name"),
        (
            json.dumps({"format": FORMAT, "markers": [{"name": "a", "text": "1234567"}]}),
            "fewer than 8 bytes",
        ),
    ],
)
def test_file_without_markers_is_rejected(app, search, file, content, says):
    file.write_text(content)

    done = app.test_cli_runner().invoke(args=["canary", "search", str(file)])

    assert done.exit_code == 1
    assert says in done.output


def test_unreachable_sink_fails_the_search(app, search, file, tmp_path):
    words = ["canary", "search", str(file), "--metrics", "http://127.0.0.1:9/metrics"]

    done = app.test_cli_runner().invoke(args=words)

    assert done.exit_code == 1
    assert "http://127.0.0.1:9/metrics cannot be read" in done.output


def test_unreachable_redis_fails_the_search(app, search, file, set_to):
    set_to(app, redis_url=type(current_settings().database_url)("redis://127.0.0.1:9"))

    done = app.test_cli_runner().invoke(args=["canary", "search", str(file)])

    assert done.exit_code == 1
    assert "Redis cannot be read" in done.output
