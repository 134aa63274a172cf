"""The system of a game day: the services of docker-compose.yml as processes, and their clients."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import psycopg2

from tests.harness import backups, buckets, mail_servers, servers
from tests.harness.disks import SmallDisk
from tests.harness.timing import until
from tests.rollout import compose_processes, tools
from tests.rollout.compose_processes import Site
from tests.rollout.game_day_clients import Client
from tests.rollout.live_prometheus import Pager, Prometheus

BUCKET = "vaultr-backups"
CLIENTS = 3
DISK_MEGABYTES = 160
# What people keep in escrow: all server keys, the backup key, and the certificate.
ESCROW = ("jwt_secret", "pepper", "factor_key", "mail_key", "audit_key", "checkpoint_key")
ESCROW += ("backup_identity", "backup_recipient", "tls.crt", "tls.key", "mail.crt", "mail.key")
ROLES = ("app", "owner", "sequencer", "scratch")


class System:
    """Edge, server, worker, sequencer, PostgreSQL, Redis, mail server, bucket and Prometheus."""

    def __init__(self, folder):
        self.folder = folder
        self.stack = contextlib.ExitStack()
        self.mail = contextlib.ExitStack()
        self.elsewhere = folder / "another-region"
        self.escrow = folder / "escrow"
        self.names = {}
        self.clients = []
        self._end = threading.Event()

    def __enter__(self):
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self):
        os.environ["PATH"] = f"{tools.FOLDER / 'bin'}:{backups.path_with_programs()}:/usr/sbin"
        (self.folder / "site").mkdir()
        self.site = self.stack.enter_context(Site(self.folder / "site"))
        self.name_server(self.site.postgres, "db")
        self.stack.callback(self.mail.close)
        self.inbox = mail_servers.Inbox()
        self.mail_certificate = mail_servers.Certificate(self.folder, "localhost")
        self.mail_port = servers.free_port()
        self.start_mail()
        self._start_bucket()
        self._keep_escrow()
        self.metrics = {one: servers.free_port() for one in ("app", "worker", "sequencer")}
        self.site.ports["app"] = servers.free_port()
        self.port, _ = self.site.edge()
        self.url = f"https://localhost:{self.port}"
        self.start()
        self.prometheus = self.stack.enter_context(
            Prometheus(self.folder / "prometheus", *self.metrics.values())
        )
        self.pager = self.stack.enter_context(Pager(self.prometheus))
        prober = threading.Thread(target=self._probe)
        prober.start()
        self.stack.callback(prober.join)
        self.stack.callback(self._end.set)

    def __exit__(self, *_):
        for client in self.clients:
            client.stop()
        self.stack.close()

    def sign_up_clients(self, count=CLIENTS):
        certificate = self.escrow / "tls.crt"
        for number in range(1, count + 1):
            folder = self.folder / f"client-{number}"
            client = Client(folder, self.url, certificate, number)
            client.sign_up(self.inbox)
            self.clients.append(client)
        for client in self.clients:
            client.start()

    def _probe(self):
        """Request readiness every second, like a load balancer."""
        while not self._end.wait(1):
            self.site.ask(self.site.ports["app"], "/api/ready", timeout=5)

    def _start_bucket(self):
        """Start an S3 server whose files are in another region."""
        (self.elsewhere / BUCKET).mkdir(parents=True)
        port = self.stack.enter_context(buckets.serving(self.elsewhere))
        self.bucket = buckets.environ(f"http://127.0.0.1:{port}") | {
            "BACKUP_LOCATION": f"s3://{BUCKET}/production"
        }

    def _keep_escrow(self):
        self.escrow.mkdir(mode=0o700)
        for name in ESCROW:
            shutil.copy2(self.site.secrets / name, self.escrow / name)

    def settings(self, service):
        """Return settings that differ from the compose file: addresses and paths."""
        state = self.folder / "audit"
        state.mkdir(exist_ok=True)
        return {
            **self.bucket,
            "BASE_URL": self.url,
            "PRIVATE_CA_FILE": str(self.site.secrets / "tls.crt"),
            "METRICS_PORT": str(self.metrics.get(service, 0)),
            "LIMIT_LOGIN_ADDRESS": "1000/900",  # all clients have one address
            "SMTP_HOST": "localhost",
            "SMTP_PORT": str(self.mail_port),
            "SMTP_CA_FILE": str(self.mail_certificate.file),
            "AUDIT_STATE_FILE": str(state / "audit-state") if service == "sequencer" else "",
            "AUDIT_ANCHORS": (self.elsewhere / "anchors").as_uri()
            if service == "sequencer"
            else "",
        }

    def flask(self, service, *words, **more):
        """Run a command as a container of a service."""
        return self.site.command(service, "flask", *words, **self.settings(service), **more)

    def start(self):
        """Start sequencer, worker and server."""
        for name in ("sequencer", "worker", "app"):
            self.site.start(name, name, **self.settings(name))

    def stop(self, *, kill=False):
        for name in ("app", "worker", "sequencer"):
            if name in self.site.running:
                self.site.kill(name) if kill else self.site.stop(name)

    def start_mail(self):
        self.mail.enter_context(
            mail_servers.running(self.inbox, starttls=self.mail_certificate, port=self.mail_port)
        )

    def name_server(self, server, name):
        """Store the name that the page shows for an address."""
        port = re.search(r":(\d+)/", server.url)[1]
        self.names[f"127.0.0.1:{port}"] = name

    def new_postgres(self, name, *, small=False):
        """Start an empty PostgreSQL whose roles need passwords.

        :param small: its tablespace ``small`` is on a disk that can be filled.
        """
        server = self.stack.enter_context(servers.postgres(own=True))
        self.name_server(server, name)
        Path(server.folder, "data", "pg_hba.conf").write_text(
            "host all vaultr 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        with contextlib.closing(psycopg2.connect(server.url)) as connection:
            connection.autocommit = True
            connection.cursor().execute("SELECT pg_reload_conf()")
            if small:
                self.disk = SmallDisk(server.folder / "small", DISK_MEGABYTES)
                self.stack.callback(self.disk.remove)
                owner = psutil.Process(server._process.pid)
                os.chown(self.disk.folder, owner.uids().real, owner.gids().real)
                connection.cursor().execute(
                    f"CREATE TABLESPACE small LOCATION '{self.disk.folder}'"
                )
        return server

    def administer(self, server):
        """Return the environment with server and passwords for the runbook's commands."""
        found = {"PGHOST": "127.0.0.1", "PGUSER": "vaultr", "PATH": os.environ["PATH"]}
        found["PGPORT"] = re.search(r":(\d+)/", server.url)[1]
        for role in ROLES:
            path = self.site.secrets / f"postgres_{role}_password"
            found[f"{role.upper()}_PASSWORD_FILE"] = str(path)
        return found

    def point_to(self, server, database):
        """Change all URLs in the secrets to another server and database; return the old ones."""
        address = re.search(r"(127\.0\.0\.1:\d+)/", server.url)[1]
        before = {}
        for path in self.site.secrets.glob("*_url"):
            if path.name == "redis_url":
                continue
            text = before[path] = path.read_text()
            text = re.sub(r"@[^/]+/", f"@{address}/", text)
            if path.name != "backup_scratch_url":
                text = re.sub(r"/\w+$", f"/{database}", text)
            path.write_text(text)
        self.server, self.database = server, database
        return before

    def lose_region(self):
        """Stop everything except edge, mail server and bucket, and delete its data."""
        self.stop(kill=True)
        self.server.kill()
        self.site.redis.kill()
        shutil.rmtree(self.server.folder / "data")
        shutil.rmtree(self.site.secrets)
        shutil.rmtree(self.folder / "audit")

    def settle_region(self):
        """Copy the keys from the escrow, generate new passwords, and start an empty Redis."""
        shutil.copytree(self.escrow, self.site.secrets)
        script = tools.ROOT / "deploy" / "compose" / "make-secrets"
        subprocess.run(
            [sys.executable, script, self.site.secrets], check=True, stdout=subprocess.DEVNULL
        )
        self.site.redis = self.stack.enter_context(compose_processes._redis(self.site.secrets))
        address = re.search(r"([\d.]+:\d+)", self.site.redis.url)[1]
        path = self.site.secrets / "redis_url"
        path.write_text(path.read_text().replace("redis:6379", address))

    def wait_until_served(self):
        """Wait until the edge reaches a ready server."""
        until(lambda: self.site.ask(self.port, "/api/health", scheme="https")[0] == 200, within=180)

    def end_redis(self):
        self.site.redis.stop(signal.SIGKILL)

    def fill_disk(self):
        """Fill the disk of the database."""
        self.disk.fill(psutil.Process(self.server._process.pid))
