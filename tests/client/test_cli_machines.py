"""Machines on the command line with a real server: created by the owner, used by a CI job."""

import json
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
import uuid

import pytest

from tests.harness.client.devices import NOBODY, PROGRAM, Job
from tests.harness.client.terminal import Terminal
from tests.harness.servers import free_port
from tests.harness.timing import until
from tests.harness.tls_sites import Authority
from vaultr.client.cli.machine_mode import COMMANDS
from vaultr.client.cli.main import vaultr
from vaultr.client.crypto.machine_keys import holds_token

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def owner(device):
    device.done("vaults", "add", "prod")
    for kind, title, detail in (
        ("env_set", "web", {"variables": {"DB_PASSWORD": "hunter2", "PORT": "80"}}),
        ("login", "db", {"password": "secret of db", "totp": "GEZDGNBVGY3TQOJQ"}),
    ):
        document = {"overview": {"title": title}, "detail": detail}
        device.done("add", kind, "--vault", "prod", "--json", stdin=json.dumps(document))
    yield device
    # Other modules share the account, and count its vaults.
    device.done("vaults", "rm", "prod", "--confirm", "prod")


@pytest.fixture(scope="module")
def tokens(owner, tmp_path_factory):
    """Return a function that creates a machine, or returns the token of an earlier one."""
    made = {}

    def token(rights, name):
        if (rights, name) not in made:
            file = tmp_path_factory.mktemp("token") / name
            owner.done("machines", "add", name, "--vault", rights, "--out", str(file))
            made[rights, name] = file.read_text().strip()
        return made[rights, name]

    return token


@pytest.fixture
def jobs(tokens, site, tmp_path):
    """Return a function that creates a job with the token of a machine."""

    def made(rights="prod", *, name="ci", folder=False):
        home = tmp_path / uuid.uuid4().hex
        return Job(home, site.url, tokens(rights, name), folder=folder)

    return made


def test_machine_is_added_listed_edited_and_deleted(owner, tmp_path):
    file = tmp_path / "token"

    vaults = ("--vault", "prod:write", "--vault", "Personal")
    limits = ("--network", "127.0.0.0/8", "--expires", "7d")
    made = owner.run_json("machines", "add", "build", *vaults, *limits, "--out", str(file))

    assert made["token_file"] == str(file)
    assert holds_token(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {each["name"]: each["rights"] for each in made["vaults"]} == {
        "prod": "write",
        "Personal": "read",
    }
    assert made["networks"] == ["127.0.0.0/8"]
    edited = owner.run_json("machines", "edit", "build", "--vault", "prod", "--any-network")
    assert [each["rights"] for each in edited["vaults"]] == ["read"]
    assert edited["networks"] == []
    assert "build" in owner.done("machines", "list")
    assert owner.run_json("machines", "show", "build") == edited
    assert "vaultr rotate" not in owner.done("machines", "edit", "build")
    gone = owner.types("machines", "rm", "build", "--rotate")
    assert "Rotated the keys of prod." in gone.stdout, gone.stderr
    assert "no such machine" in owner.fails(1, "machines", "show", "build")


def test_token_is_printed_only_to_terminal_or_new_file(owner, tmp_path):
    file = tmp_path / "token"
    file.write_text("mine")

    without = owner.fails(2, "machines", "add", "x", "--vault", "prod")
    taken = owner.fails(1, "machines", "add", "x", "--vault", "prod", "--out", str(file))
    unknown = owner.fails(
        1, "machines", "add", "x", "--vault", "None", "--out", str(tmp_path / "n")
    )
    terminal = Terminal("machines", "add", "shown", "--vault", "prod", environ=owner.environ)
    terminal.answers("Master password", owner.password)

    assert "--out FILE" in without
    assert "already exists" in taken
    assert file.read_text() == "mine"
    assert "no such vault" in unknown
    assert not (tmp_path / "n").exists()
    assert terminal.ends() == 0, terminal.shown
    assert "VAULTR_TOKEN=vmt_" in terminal.shown
    owner.done("machines", "rm", "shown", "--keep-keys")


def test_verbs_of_other_tools_suggest_our_subcommands(owner):
    for typed, ours in (("create", "add"), ("delete", "rm"), ("revoke", "rm"), ("ls", "list")):
        result = owner.types("machines", typed, "x", password=None)
        assert result.returncode == 2
        assert f"Try: vaultr machines {ours}" in result.stderr


def test_job_reads_without_login(jobs):
    job = jobs()

    environ = json.loads(job.done("run", "--env-set", "web", "--", sys.executable, "-c", SHOW))

    assert environ["DB_PASSWORD"] == "hunter2"
    assert not {"VAULTR_TOKEN", "VAULTR_TOKEN_FILE"} & environ.keys()
    assert job.done("read", "vaultr://prod/db/password") == "secret of db\n"
    assert job.done("inject", stdin="x={{ vaultr://prod/web/PORT }}") == "x=80"
    assert job.done("export", "web") == "DB_PASSWORD=hunter2\nPORT=80\n"
    assert [each["overview"]["title"] for each in job.run_json("list")] == ["db", "web"]
    assert job.run_json("show", "db", "--reveal")["detail"]["password"] == "secret of db"
    assert len(job.done("code", "db").strip()) == 6
    assert job.run_json("sync")[0]["name"] == "prod"


def test_pass_token_option_exports_token_to_command(jobs):
    job = jobs()

    words = ("run", "--env-set", "web", "--pass-token", "--", sys.executable, "-c", SHOW)

    assert json.loads(job.done(*words))["VAULTR_TOKEN"] == job.environ["VAULTR_TOKEN"]


def test_token_may_come_from_a_file(jobs, tmp_path):
    job = jobs()
    file = tmp_path / "file"
    file.write_text(job.environ.pop("VAULTR_TOKEN") + "\n")

    job.environ["VAULTR_TOKEN_FILE"] = str(file)

    assert job.done("read", "vaultr://prod/db/password") == "secret of db\n"
    both = job.types("list", env={"VAULTR_TOKEN": "x"})
    assert (both.returncode, "not both" in both.stderr) == (2, True)
    job.environ["VAULTR_TOKEN_FILE"] = str(tmp_path / "none")
    assert "No such file" in job.fails(1, "list")


def test_job_with_write_access_changes_items(jobs, tmp_path):
    job = jobs("prod:write")
    (tmp_path / ".env").write_text("NEW=1\n")

    job.done("add", "note", "--title", "from ci", stdin="text")
    job.done("edit", "from ci", "--set", "folder=CI")
    job.done("rm", "from ci")
    job.done("restore", "from ci")
    job.done("import", str(tmp_path / ".env"), "--title", "imported")

    assert {"from ci", "imported"} <= {each["overview"]["title"] for each in job.run_json("list")}
    job.done("rm", "from ci", "imported")


def test_job_with_write_access_restores_an_earlier_version(jobs):
    job = jobs("prod:write")
    document = {"overview": {"title": "rolled"}, "detail": {"password": "first"}}
    created = json.loads(job.done("add", "login", "--json", stdin=json.dumps(document)))
    job.done("edit", "rolled", "--json", stdin=json.dumps({"detail": {"password": "second"}}))

    job.done("restore", "rolled", "--revision", str(created["revision"]))

    assert job.run_json("show", "rolled", "--reveal")["detail"]["password"] == "first"
    job.done("rm", "rolled", "--forever", "--yes")


def test_read_only_job_cannot_write(jobs):
    message = jobs().fails(1, "add", "note", "--title", "x", stdin="text")

    assert "right" in message or "read" in message or "allowed" in message


def test_other_commands_reject_a_machine_token(jobs):
    job = jobs()

    for name, command in vaultr.commands.items():
        words = [name, *list(getattr(command, "commands", ()))[:1]]
        if name not in COMMANDS:
            result = job.types(*words)
            reported = (result.returncode, "A machine cannot do this" in result.stderr)
            assert reported == (1, True), words
    assert job.types("rotate", "--help").returncode == 0


def test_token_in_an_argument_is_rejected(jobs):
    job = jobs()
    token = job.environ["VAULTR_TOKEN"]

    for words in (("list", token), ("login", f"--email={token}"), ("run", "--", "echo", token)):
        message = job.fails(2, *words)
        assert "machines token" in message
        assert token not in message


def test_job_uses_the_ca_file_of_its_environment(jobs, tmp_path):
    message = jobs().fails(2, "list", env=[("VAULTR_CA_FILE", str(tmp_path / "none"))])

    assert "VAULTR_CA_FILE does not name a file." in message


def test_empty_or_cut_token_ends_2_without_a_request(jobs):
    job = jobs()

    for token in ("", " ", job.environ["VAULTR_TOKEN"][:-3], "vmt_x"):
        result = job.types("list", env={"VAULTR_TOKEN": token, "VAULTR_URL": NOBODY})
        assert result.returncode == 2, result.stderr


def test_error_of_deleted_machine_prints_next_step(jobs, owner):
    job = jobs(name="short-lived")
    job.done("list")

    owner.done("machines", "rm", "short-lived", "--keep-keys")

    assert "vaultr machines token" in job.fails(1, "list")


def test_fallback_uses_cache_while_server_is_unreachable(jobs):
    job = jobs(folder=True)
    job.done("sync")
    words = ("run", "--env-set", "web", "--fallback-max-age", "12h", "--", "env")

    away = job.types(*words, env={"VAULTR_URL": NOBODY})

    assert away.returncode == 0, away.stderr
    assert "DB_PASSWORD=hunter2" in away.stdout
    assert "The server is unreachable" in away.stderr
    job.fails(4, "run", "--env-set", "web", "--", "env", env={"VAULTR_URL": NOBODY})
    memory = jobs()
    memory.fails(4, *words, env={"VAULTR_URL": NOBODY})


def test_watching_job_restarts_when_a_value_changes(jobs, owner):
    job = jobs()
    job.forks = False
    show = "import os, time; print(os.environ['PORT'], flush=True); time.sleep(60)"
    words = ("run", "--env-set", "web", "--watch", "--every", "0.2", "--", sys.executable, "-c")
    with subprocess.Popen(
        [*PROGRAM, *words, show], env=job.environ, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "80\n"
            _set_port(owner, "81")
            assert process.stdout.readline() == "81\n"
        finally:
            process.terminate()
    _set_port(owner, "80")


def _set_port(owner, port):
    change = {"detail": {"variables": {"PORT": port}}}
    owner.done("edit", "web", "--vault", "prod", "--json", stdin=json.dumps(change))


def test_gateway_serves_callers_over_tls(jobs, tmp_path):
    job = jobs()
    callers, token, authority = tmp_path / "callers.json", tmp_path / "caller", Authority()
    context = authority.context(tmp_path, "localhost")
    assert context is not None
    allow = ("--allow", "vaultr://prod/*", "--callers", str(callers))
    job.done("gateway", "token", "build", *allow, "--out", str(token))
    port = free_port()
    certificate, key = str(tmp_path / "localhost.crt"), str(tmp_path / "localhost.key")
    words = ("gateway", "--listen", f"127.0.0.1:{port}", "--callers", str(callers),
             "--tls-cert", certificate, "--tls-key", key, "--every", "1")  # fmt: skip
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def get(path, caller=None):
        headers = {} if caller is None else {"Authorization": f"Bearer {caller}"}
        request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", headers=headers)
        with urllib.request.urlopen(request, context=trusting, timeout=30) as answer:
            return answer.read().decode()

    def is_up():
        try:
            return get("/readyz")
        except OSError:
            return None

    with subprocess.Popen([*PROGRAM, *words], env=job.environ) as process:
        try:
            until(is_up)
            secret = token.read_text().strip()
            query = "/v1/secret?key=prod/db&property=password"
            assert json.loads(get(query, secret)) == {"value": "secret of db"}
            assert get("/v1/prod/web/PORT", secret) == "80"
            assert "vaultr_gateway_token_expires_days " in get("/metrics")
            with pytest.raises(urllib.error.HTTPError) as rejected:
                get(query)
            assert rejected.value.code == 401
            rejected.value.close()
            # A renewed certificate needs no restart.
            before = ssl.get_server_certificate(("127.0.0.1", port), timeout=30)
            assert authority.context(tmp_path, "localhost") is not None
            until(lambda: before != ssl.get_server_certificate(("127.0.0.1", port), timeout=30))
            assert get("/v1/prod/web/PORT", secret) == "80"
        finally:
            process.terminate()
        assert process.wait(30) == 0
