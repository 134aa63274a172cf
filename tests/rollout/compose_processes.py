"""Run the services of docker-compose.yml as processes with the same settings, on free ports."""

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2

from tests.harness import server_programs, servers
from tests.rollout import tools

HOST = "vault.localhost"
START_SECONDS = 180
PROGRAMS = {
    "gunicorn": [sys.executable, "-m", "gunicorn"],
    "flask": [sys.executable, "-m", "flask"],
}


class Site:
    """All services of the compose file; ``pods`` are several instances of its service ``app``."""

    def __init__(self, folder):
        self.folder = folder
        self.secrets = folder / "secrets"
        self.compose = _compose(folder)
        self.running = {}
        self.ports = {}
        self._edges = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            return self._begun()
        except BaseException:
            self.__exit__()
            raise

    def _begun(self):
        make_secrets(self.secrets)
        self.postgres = self._stack.enter_context(servers.postgres(own=True))
        _initialise(self.postgres, self.secrets)
        self.redis = self._stack.enter_context(_redis(self.secrets))
        places = {"postgres:5432": self.postgres.url, "redis:6379": self.redis.url}
        for place, url in places.items():
            address = re.search(r"@?([\d.]+:\d+)", url.partition("//")[2])[1]
            for path in self.secrets.glob("*_url"):
                path.write_text(path.read_text().replace(place, address))
        done = self.command("migrate", "flask", "db", "upgrade")
        assert done.returncode == 0, tools.output_of(done)
        return self

    def __exit__(self, *_):
        for name in list(self.running):
            self.stop(name)
        self._stack.close()

    def environ(self, service, **more):
        """Return the environment of a service, with paths of its files on this machine."""
        provided = {
            name: text for name, text in self.compose[service]["environment"].items() if text
        }
        provided = {
            name: text.replace("/run/secrets", str(self.secrets)) for name, text in provided.items()
        }
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # The clients of a test share an address or an account.
        ours = {"VAULTR_HOME": str(home), "METRICS_PORT": "0", "PARALLEL_REQUESTS": "1000"}
        return {"PATH": path, **ours, **provided, **more}

    def command(self, service, *command, **more):
        """Run a command of the image to its end, as a container of ``service``."""
        return subprocess.run(
            [*PROGRAMS[command[0]], *command[1:]],
            cwd=tools.ROOT, env=self.environ(service, **more), capture_output=True, text=True,
        )  # fmt: skip

    def start(self, name, service="app", *, within=(), **more):
        """Start another container of a service; wait for ``app``.

        :param within: a command prefix that sets limits.
        """
        command = self.compose[service]["command"] or [
            "gunicorn",
            "-c",
            "config/gunicorn.py",
            "wsgi:app",
        ]
        port = self.ports.setdefault(name, servers.free_port())
        environ = self.environ(service, PORT=str(port), BIND="127.0.0.1", **more)
        with self.printed(name).open("ab") as out:
            self.running[name] = subprocess.Popen(
                [*PROGRAMS[command[0]], *command[1:]],
                cwd=tools.ROOT, env=environ, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        if service == "app":
            self._wait(name, lambda: self.ask(port, "/api/ready")[0] == 200)
        return port

    def edge(self, name="edge", *, backends=None, change=lambda text: text):
        """Start nginx with the file that compose mounts, on free ports; return (https, http)."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        https, http = servers.free_port(), servers.free_port()
        self.ports[name] = https
        self._write_edge(name, https, http, backends, change)
        with self.printed(name).open("ab") as out:
            self.running[name] = subprocess.Popen(
                ["nginx", "-p", str(place), "-c", "nginx.conf", "-g", "daemon off;"],
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self._wait(name, lambda: self.ask(http, "/api/health")[0] > 0)
        return https, http

    def route_to(self, name, backends):
        """Point an edge to other pods, like a load balancer: without dropping a connection."""
        https, http, change = self._edges[name]
        self._write_edge(name, https, http, backends, change)
        self.running[name].send_signal(signal.SIGHUP)

    def _write_edge(self, name, https, http, backends, change):
        self._edges[name] = (https, http, change)
        ports = [
            self.ports[one] for one in backends or [n for n in self.ports if n.startswith("app")]
        ]
        text = (tools.ROOT / "deploy" / "nginx" / "vaultr.conf").read_text()
        server = re.search(r"    server app:3000(.*);", text)
        lines = "\n".join(f"    server 127.0.0.1:{port}{server[1]};" for port in ports)
        text = text.replace(server[0], lines)
        text = re.sub(r"listen \[::\]:.*\n", "", text)
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{https} ")
        text = text.replace("listen 80 ", f"listen 127.0.0.1:{http} ")
        text = text.replace("/run/secrets", str(self.secrets))
        text = text.replace("/etc/nginx/vaultr/", f"{self.folder / name}/")
        text = text.replace("/dev/stdout", str(self.folder / f"{name}.access"))
        text = text.replace("/dev/stderr", str(self.folder / f"{name}.errors"))
        place = self.folder / name
        temporary = "".join(
            f"{kind}_temp_path {place}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (place / "names.map").write_text(f"{HOST} {HOST};\nwww.{HOST} {HOST};\n")
        (place / "nginx.conf").write_text(
            # Its workers write bodies to files in a folder that only this user can enter.
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            f"pid {place}/nginx.pid;\nerror_log {place}/error.log;\nworker_processes 2;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ default_type application/octet-stream; sendfile on; keepalive_timeout 65;\n"
            f"{temporary}{change(text)} }}\n"
        )

    def stop(self, name, how=signal.SIGTERM):
        """Stop one container, and return its exit code."""
        process = self.running.pop(name)
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode

    def kill(self, name):
        """Kill one container, as a power failure would."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def printed(self, name):
        return self.folder / f"{name}.out"

    def ask(self, port, path, *, method="GET", body=None, scheme="http", headers=None, timeout=10):
        """Return status, body and headers; the status is 0 without a response."""
        data = None if body is None else json.dumps(body).encode()
        provided = {
            "Host": HOST,
            **({"Content-Type": "application/json"} if data else {}),
            **(headers or {}),
        }
        request = urllib.request.Request(
            f"{scheme}://127.0.0.1:{port}{path}", data=data, method=method, headers=provided
        )
        try:
            with _OPENER.open(request, timeout=timeout) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers
        except OSError:
            return 0, b"", {}

    def _wait(self, name, fine):
        until = time.monotonic() + START_SECONDS
        while not fine():
            if self.running[name].poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name}: {self.printed(name).read_text()[-3000:]}")
            time.sleep(0.05)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args):
        return None


_ANY = ssl.create_default_context()
_ANY.check_hostname, _ANY.verify_mode = False, ssl.CERT_NONE
_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=_ANY))


def _compose(folder):
    """Read the compose file like docker-compose, with all defaults filled in."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    command = ("docker-compose", "--profile", "jobs", "config", "--format", "json")
    done = tools.run(*command, env=environ)
    assert done.returncode == 0, tools.output_of(done)
    return json.loads(done.stdout)["services"]


def make_secrets(folder):
    flask = [sys.executable, "-m", "flask", "keys", "generate", "--dir", str(folder)]
    subprocess.run(flask, cwd=tools.ROOT, check=True, stdout=subprocess.DEVNULL)
    script = tools.ROOT / "deploy" / "compose" / "make-secrets"
    subprocess.run([sys.executable, script, folder], check=True, stdout=subprocess.DEVNULL)


def _initialise(server, secrets):
    """Run the scripts of deploy/postgres like the image's entry point, then require passwords."""
    environ = {
        **os.environ,
        "APP_PASSWORD_FILE": str(secrets / "postgres_app_password"),
        "OWNER_PASSWORD_FILE": str(secrets / "postgres_owner_password"),
        "SEQUENCER_PASSWORD_FILE": str(secrets / "postgres_sequencer_password"),
        "SCRATCH_PASSWORD_FILE": str(secrets / "postgres_scratch_password"),
    }
    with contextlib.closing(psycopg2.connect(server.url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE vaultr")
        url = server.url.replace("/postgres", "/vaultr")
        roles = tools.ROOT / "deploy" / "postgres" / "roles.sql"
        command = ["psql", "-v", "ON_ERROR_STOP=1", "--quiet", "--dbname", url, "--file", roles]
        subprocess.run(command, env=environ, check=True)
        subprocess.run(command, env=environ, check=True)  # it can be run again
        rules = Path(server.folder, "data", "pg_hba.conf")
        rules.write_text(
            "host all vaultr 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        connection.cursor().execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def _redis(secrets):
    """Start a Redis with the file that compose mounts, in a folder that its user can enter."""
    with servers.scratch("vaultr-redis-") as place:
        port = servers.free_port()
        text = (tools.ROOT / "deploy" / "redis" / "redis.conf").read_text()
        text = text.replace("/run/secrets", str(place))
        (place / "redis.conf").write_text(f"{text}\nport {port}\nbind 127.0.0.1\ndir {place}\n")
        shutil.copy(secrets / "redis_acl", place)
        password = (secrets / "redis_password").read_text()
        program = shutil.which("redis-server") or str(server_programs.redis(place))
        server = servers.Server(
            f"redis://127.0.0.1:{port}/0",
            [program, str(place / "redis.conf")],
            folder=place,
            answers=lambda _: servers.redis_answers(
                f"redis://vaultr:{password}@127.0.0.1:{port}/0"
            ),
        )
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGTERM)
