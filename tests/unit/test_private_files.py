"""The server's files are readable only by their owner."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys

from vaultr.settings import private_files


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_existing_home_and_its_files_become_private(tmp_path):
    home = tmp_path / "home"
    (home / "mail").mkdir(parents=True)
    for name in ("development-keys", "mail/a.eml", "vaultr.sqlite3", "vaultr.sqlite3-wal"):
        (home / name).write_text("x")
        (home / name).chmod(0o644)
    home.chmod(0o755)

    private_files.protect_home(home)

    assert {mode(home), mode(home / "mail")} == {0o700}
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {mode(path) for path in files} == {0o600}


def test_other_files_in_home_keep_their_mode(tmp_path):
    (tmp_path / "script").write_text("x")
    (tmp_path / "script").chmod(0o755)

    private_files.protect_home(tmp_path)

    assert mode(tmp_path / "script") == 0o755


def test_new_sqlite_database_has_private_files(tmp_path):
    path = tmp_path / "new.sqlite3"
    usual = os.umask(0o022)
    try:
        private_files.protect_sqlite(str(path))
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE one (a)")

            assert {mode(one) for one in tmp_path.iterdir()} == {0o600}
            assert len(list(tmp_path.iterdir())) == 3
    finally:
        os.umask(usual)


def test_readable_sqlite_database_becomes_private(tmp_path):
    path = tmp_path / "old.sqlite3"
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"old.sqlite3{suffix}").touch(0o644)

    private_files.protect_sqlite(str(path))

    assert {mode(one) for one in tmp_path.iterdir()} == {0o600}


def test_open_database_keeps_its_locks_and_its_writes(tmp_path):
    database = tmp_path / "vaultr.sqlite3"
    with contextlib.closing(sqlite3.connect(database)) as server:
        server.execute("PRAGMA journal_mode = WAL")
        with server:
            server.execute("CREATE TABLE written (number INTEGER)")
        private_files.protect_sqlite(str(database))
        rows_seen_by_another_process(database)
        with server:
            server.execute("INSERT INTO written VALUES (1)")

        assert rows_seen_by_another_process(database) == 1


def rows_seen_by_another_process(database):
    code = (
        "import sqlite3, sys; work = sqlite3.connect(sys.argv[1]);"
        " print(*work.execute('SELECT count(*) FROM written').fetchone()); work.close()"
    )
    command = [sys.executable, "-c", code, str(database)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
