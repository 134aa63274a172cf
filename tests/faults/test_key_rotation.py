"""Keys rotate under load: servers are reloaded one after the other, and no token is lost."""

import http.client
import itertools
import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psutil
import psycopg2
import pytest

from tests import factories
from tests.harness import app_fixtures, servers
from tests.harness.gunicorn_server import Running
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.ops.keys.commands import keys
from vaultr.protocol.encoding import b64, unb64
from vaultr.settings.model import Settings
from vaultr.settings.types import KEY_SETS, Keys

AUTH, HOST = "/api/v1/auth", "vault.test"
TOKEN_SECONDS, USED_SECONDS = 30, 2
PATIENCE_SECONDS = 60


class Site:
    """Two production servers behind a TLS proxy, with their keys in one folder."""

    def __init__(self, folder, database, redis):
        self.keys = folder / "keys"
        self.keys.mkdir()
        more = {
            "VAULTR_ENV": "production", "DATABASE_URL": database, "REDIS_URL": redis,
            "BASE_URL": f"https://{HOST}", "TRUSTED_PROXIES": "1", "METRICS_PORT": "0",
            "SMTP_HOST": "127.0.0.1", "SMTP_SECURE": "none", "WEB_CONCURRENCY": "2",
            "ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS), "LIMIT_REFRESH": "100000/60",
            "LIMIT_ANONYMOUS": "100000/60", "LIMIT_READS": "100000/60",
        }  # fmt: skip
        for name in KEY_SETS:
            path = self.keys / name.lower()
            path.write_text(app_fixtures.KEYS[name])
            more |= {name: "", f"{name}_FILE": str(path)}
        homes = [folder / name for name in ("one", "two")]
        for home in homes:
            home.mkdir()
        self.servers = [Running(home, **more) for home in homes]
        self.database = database

    def flask_keys(self, *arguments):
        """Run a command in this process, which starts faster than a new one."""
        return self.app.test_cli_runner().invoke(keys, [*arguments, "--dir", str(self.keys)])

    def reload(self):
        """Reload one server after the other, like a rolling update."""
        for server in self.servers:
            before = len(server.logged("server.reloading"))
            old = self.workers(server)
            server.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + PATIENCE_SECONDS
            while len(server.logged("server.reloading")) == before or old & self.workers(server):
                assert time.monotonic() < until, server.printed()
                time.sleep(0.05)

    def workers(self, server):
        return {one.pid for one in psutil.Process(server.process.pid).children()}

    def ids(self, name):
        return [*Keys.parse((self.keys / name.lower()).read_text()).by_id]

    def run(self, statement, *values):
        with psycopg2.connect(self.database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)


@pytest.fixture(scope="module")
def site(postgres_url, redis_url, tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"), servers.fresh_database(postgres_url), redis_url)
    assert site.servers[0].command("db", "upgrade").returncode == 0
    site.app = create_app(Settings.from_environ(site.servers[0].environ))
    with site.app.app_context():
        factories.account("ann@example.org")
    try:
        for server in site.servers:
            server.start()
        yield site
    finally:
        for server in site.servers:
            server.stop()
        with site.app.app_context():
            db.session.remove()
            db.engine.dispose()


class Traffic:
    """Clients that send requests continuously to either server; stores bad responses."""

    def __init__(self, site):
        self.ports = [server.port for server in site.servers]
        self.bad, self.good = [], 0
        self.stopping = False
        self.held = {}
        self.threads = [
            threading.Thread(target=self.hold_a_session, args=(number,)) for number in range(3)
        ] + [threading.Thread(target=self.sign_in)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def ask(self, number, method, path, body=None, token=None):
        headers = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        headers |= {"Content-Type": "application/json"} if body else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[number % 2], timeout=60)
        try:
            connection.request(method, f"{AUTH}{path}", body and json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except OSError as error:
            self.bad.append((path, repr(error)))
            return {}
        finally:
            connection.close()
        if answer.status != 200:
            self.bad.append((path, answer.status, text))
            return {}
        self.good += 1
        return json.loads(text)

    def login(self, number, device):
        body = {
            "email": "ann@example.org", "auth_key": b64(factories.auth_key("ann@example.org")),
            "device": {"id": device, "name": "laptop"},
        }  # fmt: skip
        return self.ask(number, "POST", "/login", body)

    def hold_a_session(self, number):
        """Use each token for a while, on any server, then refresh."""
        tokens, until = self.login(number, str(uuid4())), time.monotonic() + USED_SECONDS
        for turn in itertools.count(number):
            if self.stopping or self.bad:
                return
            self.held[number] = tokens["access_token"]
            self.ask(turn, "GET", "/me", token=tokens["access_token"])
            if time.monotonic() > until:
                body = {"refresh_token": tokens["refresh_token"]}
                tokens = self.ask(turn, "POST", "/refresh", body) or tokens
                until = time.monotonic() + USED_SECONDS
            time.sleep(0.02)

    def signed_by(self):
        """Return the ids of the keys that signed the current tokens."""
        heads = [token.split(".")[0] for token in [*self.held.values()]]
        return {json.loads(unb64(head))["kid"] for head in heads}

    def sign_in(self):
        """Log in, so that the verifier is checked under the old and the new pepper."""
        device = str(uuid4())
        for turn in itertools.count():
            if self.stopping or self.bad:
                return
            self.login(turn, device)
            time.sleep(0.3)


def rest(traffic, seconds):
    """Make the clients continue for a while, and check their responses."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not traffic.bad:
        time.sleep(0.05)


def test_key_rotation_under_traffic_loses_no_valid_token(site):
    (old,) = site.ids("JWT_SECRET")
    with Traffic(site) as traffic:
        rest(traffic, 1)
        for step in ([], ["--reloaded"]):
            for name in KEY_SETS:
                assert site.flask_keys("rotate", name, *step).exit_code == 0
            site.reload()
        rejected = site.flask_keys("retire", "JWT_SECRET", old)
        assert (rejected.exit_code, "with a live token" in rejected.output) == (1, True)

        until = time.monotonic() + PATIENCE_SECONDS
        while old in traffic.signed_by() and not traffic.bad:
            assert time.monotonic() < until
            time.sleep(0.05)
        long_ago = datetime.now(UTC) - timedelta(minutes=11)
        site.run("UPDATE refresh_tokens SET created_at = %s WHERE signed_by = %s", long_ago, old)
        assert site.flask_keys("retire", "JWT_SECRET", old).exit_code == 0
        # A login that an old worker finished last keeps the old pepper in use until the next login.
        while site.flask_keys("retire", "PEPPER", old).exit_code != 0:
            assert time.monotonic() < until
            time.sleep(0.05)
        site.reload()
        rest(traffic, 1)

    assert traffic.bad == []
    assert traffic.good > 50
    assert old not in {*site.ids("JWT_SECRET"), *site.ids("PEPPER")}


@pytest.mark.long
def test_reload_with_invalid_keys_keeps_the_current_ones(site):
    path = site.keys / "jwt_secret"
    good = path.read_text()
    with Traffic(site) as traffic:
        path.write_text("half a ke")
        for server in site.servers:
            server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + PATIENCE_SECONDS
        while not all(server.logged("reload.refused") for server in site.servers):
            assert time.monotonic() < until
            time.sleep(0.05)
        rest(traffic, 1)
        path.write_text(good)
        site.reload()
        rest(traffic, 0.5)

    assert traffic.bad == []
    assert "half a ke" not in site.servers[0].printed()
