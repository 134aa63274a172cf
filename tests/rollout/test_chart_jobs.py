"""The Jobs of the chart, run as processes with exactly their command and environment."""

import json
import os
import subprocess

import pytest

from tests.rollout import tools
from tests.rollout.compose_processes import PROGRAMS, Site
from tests.rollout.tools import of_kind, pod_spec, rendered

HOST = "vault.example.org"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    folder.chmod(0o755)
    with Site(folder) as site:
        site.start("app1", WEB_CONCURRENCY="1", BASE_URL=f"https://{HOST}", METRICS_PORT="0")
        yield site


def run_as_pod(site, workload, **replaced):
    """Run the main container of a workload with the secrets and servers of the site."""
    container = pod_spec(workload)[1]["containers"][0] if "spec" in workload else workload
    volumes = pod_spec(workload)[1]["volumes"]
    items = next(one for one in volumes if one["name"] == "secrets")["secret"]["items"]
    files = {one["path"]: site.secrets / one["key"].lower() for one in items}
    environ = {one["name"]: one["value"] for one in container["env"]}
    for name, value in environ.items():
        if value.startswith("/run/secrets/vaultr/"):
            environ[name] = str(files[value.rpartition("/")[2]])
    command = [replaced.get(word, word) for word in container["command"]]
    home = site.folder / "pod"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [*PROGRAMS[command[0]], *command[1:]],
        cwd=tools.ROOT, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "VAULTR_HOME": str(home), **environ, "METRICS_PORT": "0"},
    )  # fmt: skip


def test_migration_job_succeeds(site):
    done = run_as_pod(site, of_kind(rendered("default"), "Job", "migrate")[0])

    assert done.returncode == 0, tools.output_of(done)


def test_cleanup_job_succeeds(site):
    [job] = [one for one in of_kind(rendered("default"), "CronJob") if "cleanup" in str(one)]

    done = run_as_pod(site, job)

    assert done.returncode == 0, tools.output_of(done)


def test_daily_job_reports_server_health_and_limits(site):
    [job] = [one for one in of_kind(rendered("default"), "CronJob") if "daily" in str(one)]

    done = run_as_pod(site, job, **{"http://vaultr": f"http://127.0.0.1:{site.ports['app1']}"})

    levels = {one["topic"]: one["level"] for one in json.loads(done.stdout)["findings"]}
    assert levels["health"] == levels["limits"] == "ok"


def test_backup_and_drill_jobs_succeed_and_only_drill_decrypts(site):
    recipient = (site.secrets / "backup_recipient").read_text().strip()
    objects = rendered("default", "--set", f"settings.BACKUP_RECIPIENT={recipient}")
    jobs = {one["metadata"]["name"]: one for one in of_kind(objects, "CronJob")}
    folder = site.folder / "backups"
    folder.mkdir()
    backup, drill = jobs["vaultr-backup"], jobs["vaultr-drill"]

    made = run_as_pod(site, backup, **{"/backups": str(folder)})
    done = run_as_pod(site, drill, **{"/backups": str(folder)})

    assert made.returncode == 0, tools.output_of(made)
    assert done.returncode == 0, tools.output_of(done)
    assert json.loads(done.stdout)["ok"] is True
    assert "BACKUP_IDENTITY" not in str(backup)
    assert backup["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"][-1] == {
        "name": "backups", "persistentVolumeClaim": {"claimName": "vaultr-backups"},
    }  # fmt: skip


@pytest.mark.parametrize(("host", "code"), [(HOST, 0), ("other.example.org", 1)])
def test_helm_test_succeeds_only_with_known_host_name(site, host, code):
    [pod] = of_kind(rendered("default"), "Pod")
    command = [one.replace(HOST, host) for one in pod["spec"]["containers"][0]["command"]]
    at = f"http://127.0.0.1:{site.ports['app1']}"

    done = subprocess.run(
        [*command[:-1], at], cwd=tools.ROOT, env=site.environ("app"), capture_output=True, text=True
    )

    assert done.returncode == code, tools.output_of(done)


def test_api_healthcheck_over_plain_http_fails_with_403(site):
    at = ("--at", f"http://127.0.0.1:{site.ports['app1']}")
    command = ("python", "-m", "vaultr.healthcheck", "--api", f"http://{HOST}", *at)

    done = subprocess.run(
        command, cwd=tools.ROOT, env=site.environ("app"), capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr == "answered 403\n"
