"""N-1: the code before the newest migration works on the new schema, without errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import factories
from tests.harness import app_fixtures, servers
from tests.harness import gunicorn_server as runs
from tests.harness.git_history import UNSHALLOW, git
from tests.harness.gunicorn_server import ROOT, Running
from tests.harness.load_writers import WIDE, Http, Owners
from vaultr.database.session import db


def newest_migration(root=ROOT):
    return sorted((root / "migrations" / "versions").glob("[0-9]*.py"))[-1]


def commit_before(path, root=ROOT):
    """Find the commit before the one that added a file; HEAD if it is not committed yet."""
    code, _ = git("rev-parse", "--git-dir", cwd=root)
    assert code == 0, "The history is needed: run the test in a git clone, not in an export of it."
    _, added = git("log", "--diff-filter=A", "--format=%H", "--", str(path), cwd=root)
    if not added:
        return git("rev-parse", "HEAD", cwd=root)[1]
    code, before = git("rev-parse", "--verify", "--quiet", f"{added.split()[-1]}^", cwd=root)
    assert code == 0, UNSHALLOW
    return before


@pytest.fixture
def old_code(tmp_path):
    """A worktree with the code before the newest migration."""
    place = tmp_path / "old-code"
    code, output = git("worktree", "add", "--detach", str(place), commit_before(newest_migration()))
    assert code == 0, output
    yield place
    git("worktree", "remove", "--force", str(place))


@pytest.fixture
def environ(postgres_url, redis_url, tmp_path):
    url = servers.fresh_database(postgres_url)
    yield {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "2", **WIDE}
    servers.drop_database(url)


def test_previous_code_serves_on_the_new_schema(old_code, environ, tmp_path, monkeypatch, count):
    new = Running(tmp_path, **environ)
    assert new.command("db", "upgrade").returncode == 0  # by this code: all migrations
    assert not (old_code / "migrations" / "versions" / newest_migration().name).exists()
    app = app_fixtures.create_app(
        app_fixtures.Settings.from_environ(new.environ | {"VAULTR_HOME": str(tmp_path)})
    )
    monkeypatch.setattr(runs, "ROOT", old_code)
    old = Running(tmp_path, **environ)
    old.environ["BASE_URL"] = new.url  # which its tokens contain
    assert imported_from(old) == old_code / "vaultr"
    try:
        old.start()
        assert old.get("/api/ready")[1] == b'{"ready":true,"degraded":[]}'
        with Owners(app, old.url, 3) as owners:
            owners.wait_for_more(count(20, many=2000))
            sign_in_and_out(app, old.url)
        owners.check(app)
        assert [one.rejected for one in owners.all] == [[]] * 3
        assert [line for line in old.logged("request") if line["status"] >= 500] == []
    finally:
        old.stop()
        with app.app_context():
            db.engine.dispose()


def imported_from(server):
    """Return the folder of the package that a server imports; this one is installed too."""
    done = subprocess.run(
        [sys.executable, "-c", "import vaultr; print(vaultr.__path__[0])"],
        cwd=runs.ROOT, env=server.environ, capture_output=True, text=True,
    )  # fmt: skip
    return Path(done.stdout.strip())


def sign_in_and_out(app, url):
    """Do everything else that an owner does and code of any version must support."""
    with app.app_context():
        account = factories.account("ann@example.org")
        anonymous = factories.session(account)
    client = Http(url, anonymous)
    opened = client.post("/api/v1/auth/login", json=factories.login())
    # The token of another session must not prevent a login.
    assert opened.status_code == 200, opened.data
    token = opened.json["refresh_token"]
    refreshed = client.post("/api/v1/auth/refresh", json={"refresh_token": token})
    assert refreshed.status_code == 200, refreshed.data
    assert client.get("/api/v1/auth/me").status_code == 200
    assert client.get("/api/v1/audit/events").status_code == 200
    assert client.post("/api/v1/auth/logout").status_code == 204


@pytest.fixture
def clone(tmp_path):
    """A small history in which a migration comes after its code."""
    root = tmp_path / "clone"
    (root / "migrations" / "versions").mkdir(parents=True)
    environ = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@example.org"}
    environ |= {"GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@example.org"}

    def commit(name):
        (root / "migrations" / "versions" / name).write_text(name)
        for arguments in (["add", "-A"], ["commit", "-q", "-m", name]):
            subprocess.run(["git", *arguments], cwd=root, check=True, env=os.environ | environ)
        return git("rev-parse", "HEAD", cwd=root)[1]

    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root, [commit("0001_a.py"), commit("0002_b.py"), commit("later.txt")]


@pytest.mark.long
def test_previous_commit_is_found_in_full_history(clone):
    root, (first, *_) = clone

    assert commit_before(newest_migration(root), root) == first


@pytest.mark.long
def test_uncommitted_migration_uses_last_commit(clone):
    root, (*_, last) = clone
    (root / "migrations" / "versions" / "0003_c.py").write_text("")

    assert commit_before(newest_migration(root), root) == last


@pytest.mark.long
def test_shallow_clone_prints_what_to_do(clone, tmp_path):
    root, _ = clone
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{root}", str(shallow)], check=True
    )

    with pytest.raises(AssertionError, match="git fetch --unshallow"):
        commit_before(newest_migration(shallow), shallow)


@pytest.mark.long
def test_missing_git_history_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "versions" / "0001_a.py").write_text("")

    with pytest.raises(AssertionError, match="in a git clone"):
        commit_before(newest_migration(tmp_path), tmp_path)
