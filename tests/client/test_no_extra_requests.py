"""Decrypted values cause no requests: run all commands with addresses in every field, and record
every look-up, connection and request of the process.
"""

import json
import os
import re
import sys
import urllib.request
from urllib.parse import urlsplit

import click
import pytest

from tests.harness.client.devices import PROGRAM, Device
from vaultr.client.cli.main import vaultr
from vaultr.client.items.schemas import SCHEMAS

EMAIL = "erin@example.org"
# Records the process's network calls and started programs; then it becomes vaultr.
WATCHED = """
import json, os, sys
said = open(os.environ["ASKED"], "a", buffering=1)
NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto",
         "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "webbrowser.open")
def heard(name, given):
    if name.startswith(NAMES):
        said.write(json.dumps([name, [str(each) for each in given]]) + "\\n")
sys.addaudithook(heard)
import httpcore2
asked = httpcore2.ConnectionPool.handle_request
def handle_request(self, request):
    url = request.url
    whole = f"{url.scheme.decode()}://{url.host.decode()}:{url.port}{url.target.decode()}"
    said.write(json.dumps(["request", [request.method.decode(), whole]]) + "\\n")
    return asked(self, request)
httpcore2.ConnectionPool.handle_request = handle_request
from vaultr.client.cli import main
sys.exit(main())
"""


def evil(name):
    return f"https://evil.example/{name}"


def items():
    """Return an item of each type in which every field is an address in some form."""
    for kind, schema in SCHEMAS.items():
        overview = {name: evil(f"{kind}/{name}") for name in schema.overview}
        overview |= {"urls": [evil("u1"), "http://evil.example:81"], "tags": [evil("tag")]}
        overview |= {"url_match": {evil("u1"): evil("match")}, "favourite": True, "archived": False}
        overview |= {"expires_on": "2027-01-31"}  # only a date is accepted
        detail = {name: evil(f"{kind}/detail/{name}") for name in schema.detail}
        detail |= {"fields": [{"name": evil("field"), "kind": "link", "value": evil("value")}]}
        detail |= {"source": {"icon": evil("icon.png")}}
        if kind == "login":
            detail |= {
                "totp": f"otpauth://totp/x?secret=GEZDGNBV&image={evil('qr.png')}",
                "passkeys": [{"credential_id": evil(1), "key_value": evil(2), "rp_id": evil(3)}],
                "history": [{"password": evil("old")}],
            }
        if kind == "env_set":
            detail["variables"] = {"HTTPS_PROXY": evil("proxy"), "URL": evil("variable")}
        yield kind, {"overview": overview, "detail": detail}


class Watched(Device):
    """A device whose commands are all watched."""

    def __init__(self, home, url, email):
        super().__init__(home, url, email=email)
        self.requested = home.parent / "asked"
        self.environ["ASKED"] = str(self.requested)
        self.program = (sys.executable, "-c", WATCHED)
        self.typed = set()

    def types(self, *words, **more):
        self.typed.add(words)
        return super().types(*words, **more)

    def heard(self):
        return [json.loads(line) for line in self.requested.read_text().splitlines()]


@pytest.fixture(scope="module")
def owner(site, tmp_path_factory):
    """An account with nothing but addresses, and a file of a vault with an address as its name."""
    device = Watched(tmp_path_factory.mktemp("watched") / "home", site.url, EMAIL)
    device.secret_key = device.run_json("signup", "--email", EMAIL)["secret_key"]
    device.done("verify", site.token(of=EMAIL), password=None)
    device.done("login")
    device.environ["VAULTR_AGENT"] = "on"
    device.done("unlock")
    for kind, item in items():
        device.done("add", kind, "--json", stdin=json.dumps(item))
    yield device
    device.types("lock", password=None)


def _everything(folder):
    """Return the commands in a sensible order; some of them are rejected."""
    file, ref = folder / "x.env", "vaultr://Personal/" + evil("note/title").replace("/", "%2F")
    file.write_text(f"A={ref}/notes\nB={evil('plain')}\n")
    login, env = evil("login/title"), evil("env_set/title")
    yield from (
        ("list",), ("list", evil("login"), "--json"), ("list", "--offline"),
        *(("show", evil(f"{kind}/title"), "--reveal") for kind in SCHEMAS),
        ("show", login, "--field", "password"), ("show", login, "--json", "--reveal"),
        ("edit", login, "--set", f"username={evil('new')}"), ("history", login), ("rm", login),
        ("restore", login), ("copy", login), ("code", login), ("generate",),
        ("read", f"{ref}/notes"),
        ("inject", "-i", str(file)), ("run", "--env-set", env, "--", "true"),
        ("run", "--env-file", str(file), "--mask", "--", "true"), ("export", env),
        ("export", env, "--format", "kubernetes"), ("import", str(file), "--title", evil("import")),
        ("vaults", "add", evil("vault")), ("vaults", "list"),
        ("vaults", "rename", evil("vault"), evil("renamed")),
        ("move", env, "--to", evil("renamed")), ("sync",), ("sync", "--explain"), ("doctor",),
        ("status",), ("health",), ("audit", "list"), ("audit", "verify"),
        ("audit", "export", "--out", str(folder / "bundle.jsonl")),
        ("audit", "accept-key", "0" * 64), ("hook", "bash"), ("allow", str(folder)),
        ("deny", str(folder)), ("git-credential", "get"), ("ssh-agent", "--help"),
        ("completion", "bash"), ("kit", str(folder / "kit.html")), ("sessions", "list"),
        ("sessions", "revoke", "00000000-0000-4000-8000-000000000000"),
        ("sessions", "revoke", "--others"),
        ("totp", "list"), ("totp", "codes"), ("totp", "remove"), ("totp", "add"),
        ("email", "change", "erin@evil.example"), ("email", "confirm", "x" * 43),
        ("email", "undo", "x" * 43), ("recovery-key", "create"), ("recovery-key", "remove"),
        *_of_machines(folder), ("recover",), ("recover", "x" * 43), ("resend",), ("passwd",),
        ("rotate",),
        ("vaults", "rm", evil("renamed"), "--confirm", evil("renamed")),
        ("lock",), ("unlock",), ("logout",), ("login",), ("account", "delete"),
    )  # fmt: skip


def _of_machines(folder):
    """Return the commands about machines, for a vault with an address as its name."""
    vault, token, callers = evil("renamed"), str(folder / "token"), str(folder / "callers")
    hashes, canary = folder / "hashes", str(folder / "canary.json")
    hashes.write_text("0" * 40 + ":1\n")
    return (
        ("machines", "add", evil("m"), "--vault", vault, "--out", token), ("machines", "list"),
        ("machines", "show", evil("m")), ("machines", "edit", evil("m")),
        ("machines", "token", evil("m"), "--out", f"{token}2"),
        ("machines", "rm", evil("m"), "--rotate"),
        ("gateway", "token", "x", "--callers", callers, "--allow", "vaultr://a/*"),
        ("breach-check", "--breach-file", str(hashes)),
        ("canary", "plant", "--email", "canary@example.net", "--out", canary),
        ("canary", "open", canary), ("canary", "remove", canary),
    )  # fmt: skip


def test_commands_use_only_documented_routes_of_one_server(owner, site, tmp_path):
    for words in _everything(tmp_path):
        owner.types(*words, password=words[0] not in ("lock", "generate", "completion"))

    heard = owner.heard()
    host = urlsplit(site.url)
    assert {tuple(provided[:2]) for name, provided in heard if name == "socket.getaddrinfo"} <= {
        (host.hostname, str(host.port))
    }
    reached = {provided[1] for name, provided in heard if name == "socket.connect"}
    assert {each for each in reached if not _is_own_socket(each, owner)} == {
        f"('{host.hostname}', {host.port})"
    }
    others = {name for name, _ in heard} - {
        *("socket.getaddrinfo", "socket.connect", "request", "subprocess.Popen", "os.exec"),
    }
    assert others == set()
    assert _programs(heard) <= {"vaultr.client.sdk.agent_process", "true"}
    requested = {tuple(provided) for name, provided in heard if name == "request"}
    assert {each for each in requested if not _is_documented(site, *each)} == set()
    assert len({_path(url) for _, url in requested}) > 20
    assert not [each for each in requested if "evil" in each[1]]


def test_every_command_is_exercised(owner, tmp_path):
    """If a command is new, add a line above."""
    typed = {*owner.typed, *_everything(tmp_path)}

    def leaves(group=vaultr, path=()):
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                yield from leaves(command, (*path, name))
            else:
                yield (*path, name)

    assert [path for path in leaves() if not any(w[: len(path)] == path for w in typed)] == []


def _is_own_socket(address, owner):
    return address.startswith(owner.runtime.path) and address.endswith(".sock")


def _programs(heard):
    """Return the started programs, by module name for Python."""
    found = set()
    for name, provided in heard:
        if name == "os.exec":
            found.add(os.path.basename(provided[0].strip("b'")))
        elif name == "subprocess.Popen":
            words = re.findall(r"'([^']+)'", provided[1])
            found.add(words[-1] if "-m" in words else words[0])
    return found


def _path(url):
    return urlsplit(url).path


def _is_documented(site, method, url):
    if not url.startswith(f"{site.url}/"):
        return False
    if (method, _path(url)) in {("GET", "/api/health"), ("GET", "/api/ready")}:
        return True
    return any(
        method.lower() in verbs and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", path), _path(url))
        for path, verbs in _routes(site).items()
    )


_ROUTES = {}


def _routes(site):
    if not _ROUTES:
        with urllib.request.urlopen(f"{site.url}/api/v1/openapi.json") as answer:
            _ROUTES.update(json.load(answer)["paths"])
    return _ROUTES


def test_audit_hook_records_network_calls(tmp_path):
    """Otherwise the test above could miss requests."""
    device = Watched(tmp_path / "home", "http://localhost:9", EMAIL)

    device.types("doctor", password=None)

    names = {name for name, _ in device.heard()}
    assert names >= {"socket.getaddrinfo", "socket.connect", "request"}
    assert device.program != PROGRAM
