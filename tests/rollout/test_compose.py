"""docker-compose.yml: it is valid and hardened, and its services work together."""

import json
import os
import re
import subprocess

import psycopg2
import pytest
import redis

from tests.rollout import settings_of_chart, tools
from tests.rollout.compose_processes import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    folder.chmod(0o755)
    with Site(folder) as site:
        site.start("app1", WEB_CONCURRENCY="2")
        site.start("worker1", "worker")
        _, site.edge_http = site.edge()
        yield site


@pytest.fixture(scope="module")
def services():
    done = tools.run("docker-compose", "--profile", "dev", "config", "--format", "json")
    assert done.returncode == 0, tools.output_of(done)
    assert done.stderr == ""
    return json.loads(done.stdout)["services"]


@pytest.fixture(scope="module")
def everything():
    """All services, of all profiles."""
    names = ("dev", "certificate", "timer", "jobs")
    profiles = [word for name in names for word in ("--profile", name)]
    done = tools.run("docker-compose", *profiles, "config", "--format", "json")
    assert done.returncode == 0, tools.output_of(done)
    return json.loads(done.stdout)["services"]


def test_compose_defines_the_documented_services(services):
    assert {*services} == {
        "app",
        "worker",
        "sequencer",
        "migrate",
        "postgres",
        "redis",
        "edge",
        "mail",
    }
    assert services["mail"]["profiles"] == ["dev"]


def test_backup_and_drill_differ_only_in_command_and_secrets(everything):
    own = ("command", "secrets", "environment")
    backup, drill = (
        {name: value for name, value in everything[one].items() if name not in own}
        for one in ("backup", "drill")
    )

    assert backup == drill
    assert backup["profiles"] == ["jobs"]
    assert backup["volumes"][0]["source"] == "backups"


def test_only_edge_publishes_external_ports(services):
    published = {
        name: [
            port["published"] for port in one.get("ports", []) if port.get("host_ip") != "127.0.0.1"
        ]
        for name, one in services.items()
    }

    assert {name: ports for name, ports in published.items() if ports} == {"edge": ["80", "443"]}


def test_edge_shares_no_network_with_database(services):
    assert not {*services["edge"]["networks"]} & {*services["postgres"]["networks"]}
    assert {*services["postgres"]["networks"]} == {*services["redis"]["networks"]} == {"back"}


def test_services_wait_for_their_dependencies(services):
    waits = {
        name: {other: how["condition"] for other, how in one.get("depends_on", {}).items()}
        for name, one in services.items()
    }

    assert waits["migrate"] == {"postgres": "service_healthy"}
    assert waits["app"]["migrate"] == "service_completed_successfully"
    assert waits["app"]["redis"] == "service_healthy"
    assert waits["edge"] == {"app": "service_healthy"}
    assert "healthcheck" in services["postgres"]
    assert "healthcheck" in services["redis"]


def test_edge_health_check_reloads_nginx_when_server_is_unreachable(services, site, tmp_path):
    test = services["edge"]["healthcheck"]["test"]
    assert test[0] == "CMD-SHELL"
    program = tmp_path / "nginx"
    program.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/calls\n")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def requested(port):
        command = test[1].replace("$$", "$").replace("127.0.0.1/80", f"127.0.0.1/{port}")
        return subprocess.run(["sh", "-c", command], env=environ, capture_output=True).returncode

    assert requested(site.edge_http) == 0
    assert not (tmp_path / "calls").exists()
    assert requested(1) == 1
    assert (tmp_path / "calls").read_text() == "-s reload\n"


def test_secrets_are_files_and_only_sequencer_gets_signing_key(services):
    names = {name.lower() for name in settings_of_chart.secret_names()}
    for name in ("app", "worker", "sequencer", "migrate"):
        service = services[name]
        clear = {*service["environment"]} & {one.upper() for one in names}
        assert clear == set()
        mounted = {one["source"] for one in service["secrets"]}
        assert ("checkpoint_key" in mounted) == (name == "sequencer")
        provided = {
            text.removeprefix("/run/secrets/")
            for variable, text in service["environment"].items()
            if variable.endswith("_FILE") and text.startswith("/run/secrets/")
        }
        assert provided <= mounted


CAPABILITIES = {
    "postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
    "redis": {"SETGID", "SETUID"},
    "edge": {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"},
    "mail": {"NET_BIND_SERVICE"},
}


def test_every_container_is_read_only_with_minimal_capabilities(everything):
    for name, service in everything.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert {*service.get("cap_add", [])} == CAPABILITIES.get(name, set()), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name


def test_server_and_databases_have_no_outbound_network(everything):
    done = tools.run("docker-compose", "config", "--format", "json")
    networks = json.loads(done.stdout)["networks"]
    open_ones = {name for name, one in networks.items() if not one.get("internal")}

    outside = {name for name, one in everything.items() if open_ones & {*one["networks"]}}
    assert outside == {
        *("edge", "worker", "sequencer", "mail", "certbot", "timer", "backup", "drill"),
    }


def test_edge_redirects_only_configured_host_names(everything, tmp_path):
    script = everything["edge"]["command"][2].replace("$$", "$")
    script = script.replace("/etc/nginx/vaultr", str(tmp_path)).partition("(while")[0]
    environ = {"PATH": os.environ["PATH"], "REDIRECT_HOSTS": "vault.example.org b.example.org"}

    subprocess.run(["sh", "-ec", script], env=environ, check=True)

    assert (tmp_path / "names.map").read_text().splitlines() == [
        "vault.example.org vault.example.org; www.vault.example.org vault.example.org;",
        "b.example.org b.example.org; www.b.example.org b.example.org;",
    ]
    assert everything["edge"]["environment"]["REDIRECT_HOSTS"] == "vault.localhost"


def test_nginx_accepts_main_configuration_of_edge(site, tmp_path):
    folder = tools.ROOT / "deploy" / "nginx"
    (tmp_path / "names.map").write_text("vault.localhost vault.localhost;\n")
    server = (folder / "vaultr.conf").read_text().replace("server app:3000", "server 127.0.0.1:1")
    server = server.replace("/run/secrets", str(site.secrets))
    server = server.replace("/etc/nginx/vaultr/", f"{tmp_path}/")
    (tmp_path / "vaultr.conf").write_text(server)
    main = (folder / "nginx.conf").read_text().replace("/etc/nginx/conf.d/", f"{tmp_path}/")
    (tmp_path / "main").write_text(main.replace("/tmp/", f"{tmp_path}/"))

    done = tools.run("nginx", "-t", "-c", str(tmp_path / "main"))

    assert done.returncode == 0, tools.output_of(done)
    assert "[warn]" not in done.stderr


def test_every_image_has_a_pinned_version():
    images = re.findall(r"image: (\S+)", (tools.ROOT / "docker-compose.yml").read_text())

    for image in images:
        assert re.search(r":(\$\{VAULTR_VERSION|v?\d+\.\d+)", image), image


def test_compose_lint_passes():
    done = tools.run("compose-lint", "docker-compose.yml")

    assert done.returncode == 0, tools.output_of(done)


def test_server_is_ready_through_the_edge(site):
    status, body, _ = site.ask(site.ports["edge"], "/api/ready", scheme="https")

    assert status == 200
    assert json.loads(body) == {"ready": True, "degraded": []}


def test_worker_check_succeeds_while_worker_runs(site):
    done = site.command("worker", "flask", "check")

    assert done.returncode == 0, tools.output_of(done)
    assert site.running["worker1"].poll() is None


def test_sequencer_signs_checkpoint_of_recorded_events(site):
    state = site.folder / "audit-state"
    for word in ("off", "on"):
        done = site.command("app", "flask", "ops", "switch", "signup", word, "--by", "test")
        assert done.returncode == 0, tools.output_of(done)

    done = site.command(
        "sequencer", "flask", "worker", "--only", "audit", "--once", AUDIT_STATE_FILE=str(state)
    )

    assert done.returncode == 0, tools.output_of(done)
    assert "audit.sequencer.off" not in done.stdout + done.stderr
    assert state.read_text().startswith("vault.localhost")


def test_server_role_cannot_create_or_drop_tables(site):
    with _as(site, "database_url") as connection, connection.cursor() as cursor:
        for statement in ("CREATE TABLE t (i int)", "DROP TABLE accounts", "CREATE SCHEMA s"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
            connection.rollback()


def test_server_role_cannot_change_or_remove_audit_events(site):
    with _as(site, "database_url") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event")
        for statement in (
            "UPDATE audit_event SET out = 'ok'", "DELETE FROM audit_event", "TRUNCATE audit_event",
        ):  # fmt: skip
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
            connection.rollback()


def test_database_rejects_wrong_password(site):
    url = (site.secrets / "database_url").read_text()

    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(re.sub(r":[^:@]+@", ":wrong@", url))


def test_redis_rejects_connection_without_password(site):
    url = (site.secrets / "redis_url").read_text()

    anonymous = redis.Redis.from_url(re.sub(r"//.*@", "//", url))
    with anonymous, pytest.raises(redis.AuthenticationError):
        anonymous.ping()
    with redis.Redis.from_url(url) as ours:
        assert ours.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            ours.config_set("maxmemory-policy", "allkeys-lru")


def _as(site, secret):
    return psycopg2.connect((site.secrets / secret).read_text())
