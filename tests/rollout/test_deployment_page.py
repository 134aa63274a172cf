"""The commands and values of docs/deployment.md work as documented."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import yaml

from tests.harness import servers
from tests.rollout import settings_of_chart, tools
from tests.rollout.compose_processes import make_secrets
from tests.rollout.tools import of_kind

PAGE = (tools.ROOT / "docs" / "deployment.md").read_text()


def _block_starting_with(beginning):
    """Return the block of the page with this beginning, as a shell reads it."""
    blocks = re.findall(r"(?:^    .*\n)+", PAGE, re.M)
    [block] = [one for one in blocks if one.strip().startswith(beginning)]
    return re.sub(r"^    ", "", block, flags=re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run the first block with a database of this machine and a separate folder."""
    folder = tmp_path_factory.mktemp("typed")
    with servers.postgres(own=True) as server:
        url = servers.fresh_database(server.url)
        script = _block_starting_with("flask keys generate --dir secrets\n    umask 077")
        there = "-h db.example.org -U master -d vaultr"
        assert there in script
        script = script.replace(there, f"--dbname '{url}'")
        script = script.replace("deploy/", f"{tools.ROOT}/deploy/")
        _run_script(script, folder)
        for name, role in (
            ("database_url", "vaultr_app"),
            ("migration_database_url", "vaultr_owner"),
            ("sequencer_database_url", "vaultr_sequencer"),
            ("backup_scratch_url", "vaultr_scratch"),
        ):
            written = (folder / "secrets" / name).read_text()
            assert "sslmode=verify-full" in written
            # The drill's role has no access to Vaultr's own database.
            near = (server.url if role == "vaultr_scratch" else url).partition("@")[2]
            with psycopg2.connect(re.sub(r"@.*", f"@{near}", written)) as connection:
                assert connection.info.user == role
            connection.close()
    (folder / "secrets" / "redis_url").write_text("rediss://vaultr:x@redis.example.org:6379/0")
    (folder / "ca.pem").write_text("certificates")
    return folder


def _run_script(script, folder):
    path = f"{Path(sys.executable).parent}:{tools.FOLDER / 'bin'}:{os.environ['PATH']}"
    environ = {"PATH": path, "FLASK_APP": str(tools.ROOT / "wsgi.py"), "HOME": str(folder)}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, tools.output_of(done)
    return done.stdout


def _command(script, beginning):
    lines = script.replace("\\\n", " ").splitlines()
    [line] = [one for one in lines if one.startswith(beginning)]
    return line


def test_documented_compose_env_sets_intended_values(tmp_path):
    """A comment after an empty value would become the value, and no email would be sent."""
    (tmp_path / "docker-compose.yml").write_text((tools.ROOT / "docker-compose.yml").read_text())
    (tmp_path / ".env").write_text(_block_starting_with("# The name that users type"))
    done = subprocess.run(
        ["docker-compose", "config", "--format", "json"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, tools.output_of(done)
    for service in ("app", "worker"):
        environ = json.loads(done.stdout)["services"][service]["environment"]
        mail = {name: text for name, text in environ.items() if name.startswith("SMTP_")}
        assert mail == {
            "SMTP_HOST": "smtp.example.org", "SMTP_PORT": "587", "SMTP_SECURE": "starttls",
            "SMTP_FROM": "vaultr@example.org", "SMTP_USER": "vaultr", "SMTP_CA_FILE": "",
            "SMTP_PASS_FILE": "/run/secrets/smtp_pass",
        }  # fmt: skip
        assert environ["BASE_URL"] == "https://vault.example.org"


def test_documented_secret_has_all_keys_that_pods_mount(folder):
    command = _command(
        _block_starting_with("kubectl create namespace"), "kubectl -n vaultr create secret generic"
    )

    made = json.loads(_run_script(f"{command} --dry-run=client --output json", folder))

    assert {*made["data"]} == {
        *settings_of_chart.secret_names(), "MIGRATION_DATABASE_URL", "SEQUENCER_DATABASE_URL",
        "BACKUP_IDENTITY", "BACKUP_SCRATCH_URL",
    } - {"SMTP_PASS"}  # fmt: skip
    url = base64.b64decode(made["data"]["DATABASE_URL"]).decode()
    assert url.startswith("postgresql://vaultr_app:")
    assert "\n" not in url


def test_secret_files_are_readable_only_by_owner(folder):
    modes = {path.name: path.stat().st_mode & 0o077 for path in (folder / "secrets").iterdir()}

    del modes["redis_url"]  # this test's own
    assert {*modes.values()} == {0}


def test_documented_release_mounts_ca_where_database_url_expects_it(folder):
    command = _command(
        _block_starting_with("kubectl create namespace"), "helm upgrade --install vaultr-blue"
    )
    command = command.replace("helm upgrade --install", "helm template")
    command = command.replace("--rollback-on-failure", "").replace("helm/vaultr", str(tools.CHART))

    objects = [one for one in yaml.safe_load_all(_run_script(command, folder)) if one]

    [web] = of_kind(objects, "Deployment", "web")
    spec = web["spec"]["template"]["spec"]
    mount = next(one for one in spec["containers"][0]["volumeMounts"] if "auth" in one["name"])
    url = (folder / "secrets" / "database_url").read_text()
    assert f"sslrootcert={mount['mountPath']}/ca.crt" in url
    configured = _command(
        _block_starting_with("kubectl create namespace"), "kubectl -n vaultr create configmap"
    )
    made = json.loads(_run_script(f"{configured} --dry-run=client --output json", folder))
    volume = next(one for one in spec["volumes"] if one["name"] == "authorities")
    assert volume["configMap"]["name"] == made["metadata"]["name"]
    assert volume["configMap"]["items"][0]["key"] in made["data"]
    assert of_kind(objects, "Ingress") == of_kind(objects, "Service") == []
    command = _command(
        _block_starting_with("kubectl create namespace"), "helm upgrade --install vaultr helm"
    )
    command = command.replace("helm upgrade --install", "helm template")
    command = command.replace("helm/vaultr", str(tools.CHART))
    [ingress] = of_kind(
        [one for one in yaml.safe_load_all(_run_script(command, folder)) if one], "Ingress"
    )
    assert ingress["spec"]["tls"][0]["secretName"] == "vaultr-tls"
    assert "create secret tls vaultr-tls" in _block_starting_with("kubectl create namespace")


def _values():
    """Return the page's blocks that are chart values."""
    known = json.loads((tools.CHART / "values.schema.json").read_text())["properties"]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.M)
    texts = [re.sub(r"^    ", "", one, flags=re.M).strip() for one in blocks]
    return [one for one in texts if one.partition(":")[0] in known]


def test_chart_accepts_documented_values(tmp_path):
    found = _values()

    assert len(found) >= 6
    for number, text in enumerate(found):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        base = str(tools.CHART / "ci" / "default-values.yaml")
        done = tools.template("--values", base, "--values", str(path))
        assert done.returncode == 0, tools.output_of(done)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """Run the page's commands for one machine without containers that need no root."""
    folder = tmp_path_factory.mktemp("host")
    script = _block_starting_with("install -d -m 0700 /etc/vaultr/secrets").partition(
        "su postgres"
    )[0]
    script = re.sub(r"^chown .*\n", "", script, flags=re.M)
    script = script.replace("/etc/redis/", f"{folder}/").replace("/etc/vaultr", f"{folder}/vaultr")
    script = script.replace("/opt/vaultr/venv/bin", str(Path(sys.executable).parent))
    _run_script(script.replace("/opt/vaultr/app", str(tools.ROOT)), folder)
    return folder


def test_host_setup_creates_every_secret_that_units_load(host):
    units = (tools.ROOT / "deploy" / "systemd").glob("*.service")
    loaded = {
        path
        for unit in units
        for path in re.findall(r"^LoadCredential=\w+:/etc/vaultr/(.*)$", unit.read_text(), re.M)
    }

    missing = [path for path in loaded if not (host / "vaultr" / path).stat().st_size]
    assert missing == []
    modes = {path.stat().st_mode & 0o777 for path in (host / "vaultr" / "secrets").iterdir()}
    assert modes == {0o600}
    assert (host / "redis.conf").read_text().endswith("maxmemory-policy noeviction\n")


def test_nginx_accepts_edge_configuration_of_host_setup(host, tmp_path):
    make_secrets(tmp_path / "tls")
    script = _block_starting_with("cp /opt/vaultr/app/deploy/systemd/vaultr.env.example")
    lines = script.replace("\\\n", " ").splitlines()
    wanted = [one for one in lines if one.startswith(("echo 'vault", "sed -e"))]
    typed = "\n".join(wanted).replace("/opt/vaultr/app", str(tools.ROOT))
    typed = typed.replace("/etc/nginx/vaultr/", f"{tmp_path}/").replace(
        "/etc/nginx/conf.d", str(tmp_path)
    )
    _run_script(typed, tmp_path)
    text = (tmp_path / "vaultr.conf").read_text()
    assert "server 127.0.0.1:3000" in text
    text = text.replace("/etc/vaultr/tls", f"{tmp_path}/tls/tls").replace(
        "/var/log/nginx", str(tmp_path)
    )
    (tmp_path / "vaultr.conf").write_text(text.replace("/etc/nginx/vaultr/", f"{tmp_path}/"))
    main = f"events {{}}\npid {tmp_path}/pid;\nhttp {{ include {tmp_path}/vaultr.conf; }}\n"
    (tmp_path / "main").write_text(main)

    done = tools.run("nginx", "-t", "-c", str(tmp_path / "main"))

    assert done.returncode == 0, tools.output_of(done)


# The test that runs a block of the page, or the mark in its section that says where to look.
SHOWN = {
    "docker build": "engine",
    "make secrets": "engine",
    "# The name that users type.": "test_deployment_page.py::test_documented_compose_env",
    "docker compose --profile certificate": "engine",
    "git pull": "engine",
    "apt-get install --yes python3-venv": "machine",
    "install -d -m 0700 /etc/vaultr": "test_deployment_page.py::test_host_setup_creates",
    "cp /opt/vaultr/app/deploy/systemd": "test_deployment_page.py::test_nginx_accepts_edge",
    "/opt/vaultr/app/deploy/systemd/vaultr-flask doctor": "machine",
    "git -C /opt/vaultr/app fetch": "machine",
    "deploy/aws/stacks plan": "test_aws_page.py::test_commands_of_aws_page",
    "flask keys generate": "test_deployment_page.py::test_secret_files_are_readable",
    "kubectl create namespace": "test_deployment_page.py::test_documented_release_mounts",
    "externalSecrets:": "test_deployment_page.py::test_chart_accepts_documented_values",
    "extraVolumes:": "test_deployment_page.py::test_chart_accepts_documented_values",
    "renew() {": "cluster",
    "ingress:": "test_deployment_page.py::test_chart_accepts_documented_values",
    "networkPolicy:": "test_deployment_page.py::test_chart_accepts_documented_values",
    "podSecurityContext:": "test_deployment_page.py::test_chart_accepts_documented_values",
    "podAnnotations:": "test_deployment_page.py::test_chart_accepts_documented_values",
    "helm -n vaultr uninstall": "cluster",
    "skopeo copy": "test_release.py::test_image_and_chart_are_oci_layouts",
    "pip install": "engine",
    "FROM registry.example.org": "engine",
    "export NAMESPACE=vaultr": "test_blue_green.py::test_switch_moves_users",
    "# values of prometheus-adapter": "cluster",
}  # fmt: skip


def _blocks():
    """Yield each block of commands or values, and its section."""
    for section in re.split(r"(?m)^(?=## )", PAGE):
        for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.M):
            yield block.strip(), section


def test_each_documented_command_is_tested_or_marked():
    beginnings = {}
    for block, section in _blocks():
        [known] = [one for one in SHOWN if block.startswith(one)]
        beginnings[known] = section

    assert {*beginnings} == {*SHOWN}
    for beginning, shown in SHOWN.items():
        file, _, test = shown.partition("::")
        if test:
            assert f"def {test}" in (tools.ROOT / "tests" / "rollout" / file).read_text()
        else:
            assert f"**({shown})**" in beginnings[beginning], beginning
