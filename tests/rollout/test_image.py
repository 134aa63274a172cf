"""The real image, built and started (if buildah, podman and the base are available)."""

import json
import os
import re
import time
import urllib.request

import pytest

from tests.harness import app_fixtures, backups, servers
from tests.rollout import containers, postgres_versions, tools
from vaultr.database.session import db

USER = (10001, 10001)
IDENTITY = "/run/identity"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    name = containers.build(tmp_path_factory.mktemp("image"))
    yield name
    containers.remove(name)


@pytest.fixture
def development():
    """Return the environment of a development server on free ports."""
    ports = {"PORT": str(servers.free_port()), "METRICS_PORT": str(servers.free_port())}
    return {"VAULTR_ENV": "development", **ports}


def test_image_has_labels_and_runs_unprivileged(image):
    config = containers.inspected(image)["Config"]

    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]
    assert not config.get("Entrypoint")
    assert {"3000/tcp", "9464/tcp"} == {*config["ExposedPorts"]}
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "0.0.0-test"
    assert labels["org.opencontainers.image.revision"] == "abc1234"


def test_image_adds_at_most_250_megabytes_to_its_base(image):
    sizes = [containers.inspected(one)["Size"] for one in (image, containers.base())]

    assert sizes[0] - sizes[1] < 250_000_000


def test_start_without_settings_fails_and_names_them(image):
    done = containers.once(image, environ={"VAULTR_ENV": "production"})

    assert done.returncode != 0
    for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SMTP_HOST"):
        assert name in done.stderr + done.stdout


def test_server_runs_within_pod_limits_and_exits_cleanly(image, development):
    with containers.Container(image, environ=development) as container:
        container.healthy()
        url = f"http://127.0.0.1:{development['PORT']}/api/health"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer) == {"status": "healthy"}
        first = container.run("cat", "/proc/1/cmdline").stdout
        began = time.monotonic()

        assert container.stop() == (0, False)
        assert time.monotonic() - began < 35

    assert "sh\0" not in first


def test_image_runs_migration_and_check_commands(image, development):
    migrated = containers.once(image, "flask", "db", "upgrade", environ=development)
    requested = containers.once(image, "flask", "check", environ=development)

    assert migrated.returncode == 0, tools.output_of(migrated)
    assert requested.returncode == 0, tools.output_of(requested)


def test_container_is_ready_after_migrating_new_database(image, development):
    """The code finds its migrations, although the package is installed elsewhere."""
    with containers.Container(image, environ=development) as container:
        container.healthy()
        done = container.run("flask", "db", "upgrade")
        assert done.returncode == 0, tools.output_of(done)
        url = f"http://127.0.0.1:{development['PORT']}/api/ready"
        time.sleep(1.5)  # results are cached for a second
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer)["ready"] is True


def test_server_cannot_write_to_image_files(image, development):
    with containers.Container(image, environ=development) as container:
        places = ("/app", "/opt/vaultr", "/")
        script = f"import os, sys; sys.exit(any(os.access(p, os.W_OK) for p in {places}))"
        assert container.run("python", "-c", script).returncode == 0


class BackupImage:
    """`flask` in the image, with a database whose roles are those of roles.sql.

    :ivar folder: what is mounted as the volume of backups.
    """

    def __init__(self, image, server, folder):
        self.server, self.folder = server, folder / "backups"
        self.folder.mkdir(mode=0o700)
        self._image = image
        self._identity, recipient = backups.new_identity(folder)
        for path in (self.folder, self._identity):
            os.chown(path, *USER)
        more = {"BACKUP_LOCATION": "/backups", "BACKUP_RECIPIENT": recipient}
        more["BACKUP_SCRATCH_URL"] = self.url("vaultr_scratch", "postgres")
        more["DATABASE_URL"] = self.url("vaultr_app")
        self._environ = app_fixtures.environ_for("/tmp/vaultr", **more)

    def url(self, role, database="vaultr"):
        return re.sub("//.*@(.*)/postgres$", rf"//{role}@\1/{database}", self.server.url)

    def run(self, *words, opens=False, **more):
        """Run a command as a job does: only one that opens backups has the identity."""
        volumes = {"/backups": self.folder} | ({IDENTITY: self._identity} if opens else {})
        opening = {"BACKUP_IDENTITY_FILE": IDENTITY} if opens else {}
        environ = self._environ | opening | more
        return containers.once(self._image, "flask", *words, environ=environ, volumes=volumes)

    def done(self, *words, **more):
        """Run a command that must succeed, and return what it printed."""
        done = self.run(*words, **more)
        assert done.returncode == 0, tools.output_of(done)
        return done.stdout

    def fill(self, home):
        """Store an account with items, whose events are sequenced."""
        environ = app_fixtures.environ_for(home, DATABASE_URL=self.url("vaultr"))
        settings = app_fixtures.Settings.from_environ(environ)
        with app_fixtures.create_app(settings).app_context():
            backups.fill()
            db.engine.dispose()


@pytest.fixture
def backup_image(request, image, tmp_path):
    with postgres_versions.running(request.param) as (server, folder):
        url = servers.fresh_database(server.url, name="vaultr")
        postgres_versions.create_roles(url, folder, "a-password-of-more-than-20-letters")
        yield BackupImage(image, server, tmp_path)


# The oldest version that Vaultr supports, and the newest that the image's programs can dump.
@pytest.mark.parametrize("backup_image", ["15", "17"], indirect=True)
def test_backup_commands_work_with_read_only_root(backup_image, tmp_path):
    backup_image.done("db", "upgrade", DATABASE_URL=backup_image.url("vaultr_owner"))
    backup_image.fill(tmp_path)
    target = servers.fresh_database(backup_image.server.url)

    name = backup_image.done("backup", "create").strip()
    drilled = json.loads(backup_image.done("backup", "drill", "--json", opens=True))
    restored = backup_image.done("backup", "restore", name, "--into", target, opens=True)
    backup_image.done("backup", "prune", "--keep-days", "1", "--keep-monthly", "0")

    assert drilled["ok"] is True
    assert f"restored {drilled['rows']} rows" in restored
    assert servers.run_sql(target, "SELECT count(*) FROM accounts") == [(1,)]
    assert {path.name for path in backup_image.folder.iterdir()} == {name, f"{name}.verified"}
    assert (backup_image.folder / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("backup_image", ["18"], indirect=True)
def test_backup_of_postgresql_newer_than_pg_dump_is_rejected(backup_image):
    backup_image.done("db", "upgrade", DATABASE_URL=backup_image.url("vaultr_owner"))

    done = backup_image.run("backup", "create")

    assert done.returncode == 1
    assert "The server is PostgreSQL 18" in done.stdout + done.stderr
    assert list(backup_image.folder.iterdir()) == []
