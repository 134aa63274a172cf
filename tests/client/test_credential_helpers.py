"""git, Docker and Podman get credentials from the vault, and store them there."""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from functools import partial

import pytest

from tests.harness.client.devices import PROGRAM
from vaultr.client.errors import UsageError
from vaultr.client.integrations import docker_credential, git_credential
from vaultr.client.integrations.credential_items import Place

DOCKER = "import sys; from vaultr.client.cli.commands import credential_helpers as h; "
DOCKER += "sys.exit(h.docker_main())"


@pytest.fixture
def logins(world):
    for title, url, username in (
        ("Root", "https://git.example", "ann"),
        ("Team", "https://git.example/team", "ann"),
        ("Other", "https://git.example:8443", "bob"),
        ("Plain", "http://git.example", "eve"),
    ):
        overview = {"title": title, "username": username, "urls": [url]}
        world.laptop.add("login", overview, {"password": f"password of {title}"})
    return world.laptop


def request(url, **more):
    return {**git_credential.parse_request(f"url={url}\n\n"), **more}


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://git.example/x.git", "Root"),
        ("https://git.example/team/x.git", "Team"),
        ("https://git.example/teammate/x.git", "Root"),
        ("https://git.example:443/x", "Root"),
        ("https://git.example:8443/", "Other"),
        ("http://git.example/", "Plain"),
    ],
)
def test_login_of_scheme_host_port_and_longest_path_is_returned(url, title, logins):
    answer = git_credential.get(logins, request(url))

    assert answer.endswith(f"password=password of {title}\n")


def test_unknown_host_or_username_returns_nothing(logins):
    assert git_credential.get(logins, request("https://evil-git.example/")) == ""
    assert git_credential.get(logins, request("https://git.example.evil/")) == ""
    assert git_credential.get(logins, request("https://git.example/", username="bob")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "protocol=https\nhost=git.example\rx\n\n",
        "url=https://git.example%0ahost=evil/\n\n",
        "url=https://x%00y/\n\n",
        "no equals sign\n\n",
        "protocol=https\n\n",
        "protocol=https\nhost=[::\n\n",
    ],
)
def test_request_with_line_breaks_or_without_host_is_rejected(text, logins):
    with pytest.raises(UsageError):
        git_credential.get(logins, git_credential.parse_request(text))


def test_store_adds_or_updates_and_erase_trashes_only_own_logins(logins):
    new = request("https://new.example/", username="ann", password="first")
    git_credential.store(logins, new)
    git_credential.store(logins, {**new, "password": "second"})
    own = logins.item("new.example")

    stored = git_credential.erase(logins, {**new, "password": "another"})
    git_credential.erase(logins, {**new, "password": "second"})
    mine = git_credential.erase(logins, request("https://git.example/", username="ann"))

    assert own.detail["password"] == "second"
    assert stored == []
    assert "new.example" not in [item.title for item in logins.items()]
    assert sorted(item.title for item in mine) == ["Root"]
    assert len(logins.items()) == 4


def test_docker_stores_lists_gets_and_erases_a_registry(logins):
    stored = {"ServerURL": "https://registry.example/v1/", "Username": "ann", "Secret": "s"}
    docker_credential.store(logins, json.dumps(stored))

    got = json.loads(docker_credential.get(logins, "https://registry.example/v1/\n"))
    listed = json.loads(docker_credential.listed(logins))
    docker_credential.erase(logins, "https://registry.example/v1/")

    assert got == stored
    assert listed == {"https://registry.example/v1": "ann"}
    with pytest.raises(docker_credential.CredentialsNotFound):
        docker_credential.get(logins, "https://registry.example/v1/")


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"ServerURL": 1, "Username": "", "Secret": ""}']
)
def test_docker_store_rejects_a_malformed_request(text, logins):
    with pytest.raises(UsageError):
        docker_credential.store(logins, text)


def test_credential_url_matching_ignores_default_ports_and_case():
    assert Place.of("HTTPS://Git.Example:443/a/") == Place("https", "git.example", "a")
    assert Place.of("https://") is None
    assert Place.of("https://x:99999") is None


class _Private(http.server.SimpleHTTPRequestHandler):
    """Serves files only to ann."""

    wanted = "Basic " + base64.b64encode(b"ann:clone-password").decode()

    def do_GET(self):
        if self.headers["Authorization"] == self.wanted:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.end_headers()

    def log_message(self, *_):
        """Print nothing."""


@contextlib.contextmanager
def served(folder):
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Private, directory=folder)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_git_clones_over_http_with_our_helper(device, tmp_path):
    git = shutil.which("git")
    assert git, "git is missing: install Debian's git (make tools)"
    environment = {**device.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    source = tmp_path / "served" / "x.git"

    def run(*words):
        return subprocess.run([git, *map(str, words)], env=environment, capture_output=True,
                              text=True, timeout=240, start_new_session=True)  # fmt: skip

    run("init", "-q", "--bare", "-b", "main", source)
    run("init", "-q", "-b", "main", tmp_path / "work")
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    run("-C", tmp_path / "work", *identity, "commit", "-q", "--allow-empty", "-m", "first")
    run("-C", tmp_path / "work", "push", "-q", source, "main")
    run("-C", source, "update-server-info")
    helper = f"!{shlex.join([*PROGRAM, 'git-credential'])}"
    with served(tmp_path / "served") as url:
        known = {"overview": {"title": "Clones", "username": "ann", "urls": [url]},
                 "detail": {"password": "clone-password"}}  # fmt: skip
        device.done("add", "login", "--json", stdin=json.dumps(known))
        cloned = run("-c", f"credential.helper={helper}", "clone", f"{url}/x.git",
                     tmp_path / "cloned")  # fmt: skip

    assert cloned.returncode == 0, cloned.stderr
    assert run("-C", tmp_path / "cloned", "log", "--format=%s").stdout == "first\n"
    device.done("rm", "Clones", "--forever", "--yes")


def test_locked_helpers_respond_as_git_and_docker_expect(device):
    request = "protocol=https\nhost=git.example\n\n"
    locked = {"VAULTR_AGENT": "off"}

    quiet = device.types("git-credential", "get", password=None, stdin=request, env=locked)
    unknown = device.types("git-credential", "capability", password=None, stdin="", env=locked)
    docker = subprocess.run(
        [sys.executable, "-c", DOCKER, "get"], input="registry.example", capture_output=True,
        text=True, env={**device.environ, **locked}, start_new_session=True, timeout=120,
    )  # fmt: skip

    assert (quiet.returncode, quiet.stdout) == (0, "")
    assert (unknown.returncode, unknown.stdout) == (0, "")
    assert (docker.returncode, docker.stdout) == (1, "credentials not found in native keychain\n")


@pytest.mark.long
def test_skopeo_logs_in_and_pulls_through_our_helper(device, tmp_path):
    skopeo, registry = shutil.which("skopeo"), shutil.which("docker-registry")
    assert skopeo, "skopeo is missing: install Debian's skopeo (make tools)"
    assert registry, "docker-registry is missing: install Debian's docker-registry (make tools)"
    (programs := tmp_path / "bin").mkdir()
    helper = programs / "docker-credential-vaultr"
    helper.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", DOCKER])} "$@"\n')
    helper.chmod(0o755)
    (settings := tmp_path / ".config" / "containers").mkdir(parents=True)
    (settings / "registries.conf").write_text('credential-helpers = ["vaultr"]\n')
    # The password "pulled", hashed with bcrypt, the only form that the registry accepts.
    (tmp_path / "htpasswd").write_text(
        "ann:$2y$05$s4KcEaktmC7EG2BLEEcQEuv8nr9pxcIm3d9kK3neiNLp8aGuAva4S\n"
    )
    port = _free_port()
    (tmp_path / "registry.yml").write_text(json.dumps({
        "version": 0.1, "log": {"level": "error"}, "http": {"addr": f"127.0.0.1:{port}"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "images")}},
        "auth": {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}},
    }))  # fmt: skip
    environment = {**device.environ, "PATH": f"{programs}:{os.environ['PATH']}",
                   "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(settings.parent)}  # fmt: skip

    def run(*words, stdin=None):
        return subprocess.run([skopeo, *words], env=environment, input=stdin, timeout=240,
                              capture_output=True, text=True, start_new_session=True)  # fmt: skip

    with subprocess.Popen([registry, "serve", tmp_path / "registry.yml"],
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            _wait_for(port)
            place = f"127.0.0.1:{port}"
            login = run("login", "--tls-verify=false", "-u", "ann", "--password-stdin", place,
                        stdin="pulled\n")  # fmt: skip
            copy = ("copy", "--preserve-digests", "--src-tls-verify=false",
                    "--dest-tls-verify=false")  # fmt: skip
            pushed = run(*copy, f"oci:{image(tmp_path / 'made')}:1", f"docker://{place}/app:1")
            pulled = run(*copy, f"docker://{place}/app:1", f"oci:{tmp_path / 'pulled'}:1")
        finally:
            process.terminate()

    assert login.returncode == 0, login.stderr
    assert (pushed.returncode, pulled.returncode) == (0, 0), (pushed.stderr, pulled.stderr)
    made, got = (json.loads((tmp_path / each / "index.json").read_text())["manifests"][0]["digest"]
                 for each in ("made", "pulled"))  # fmt: skip
    assert made == got
    assert "docker" in device.run_json("show", place)["overview"]["tags"]


def image(folder):
    """Write an image of one empty layer as an OCI layout; return its folder."""
    (blobs := folder / "blobs" / "sha256").mkdir(parents=True)

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        named = f"application/vnd.oci.image.{kind}"
        return {"mediaType": named, "digest": f"sha256:{digest}", "size": len(data)}

    empty = bytes(10_240)  # a tar archive without files
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(empty).hexdigest()}"]}
    about = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    config = blob(json.dumps(about).encode(), "config.v1+json")
    layers = [blob(empty, "layer.v1.tar")]
    manifest = {"schemaVersion": 2, "config": config, "layers": layers}
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    listed = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    listed["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    index = {"schemaVersion": 2, "manifests": [listed]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return folder


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_for(port):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.2)
    pytest.fail("the registry does not listen")
