"""deploy/blue-green: what it rejects, the order of its steps, and how it rolls back."""

import http.server
import json
import threading
import time

import pytest
import yaml

from tests.rollout import tools
from tests.rollout.fake_kubectl import Cluster

REJECTED, FAILED, DONE = 2, 1, 0


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)


def test_release_deploys_other_colour_and_moves_no_users(cluster):
    done = cluster.run("release", "green", "--tag", "1.2.3", "-f", "production.yaml")

    assert done.returncode == DONE, done.stderr
    assert cluster.live == "blue"
    [call] = cluster.changes
    assert call[:4] == ["helm", "upgrade", "--install", "vaultr-green"]
    assert "--rollback-on-failure" in call
    assert {"colour=green", "image.tag=1.2.3", "service.create=false", "production.yaml"} <= {*call}


@pytest.mark.parametrize(
    ("image", "deployed"),
    [
        (["--tag", "1.2.3"], "registry.example.org/vaultr:1.2.3"),
        (["--digest", f"sha256:{'a' * 64}"], f"registry.example.org/vaultr@sha256:{'a' * 64}"),
    ],
)
def test_release_image_overrides_image_of_values_file(cluster, tmp_path, image, deployed):
    values = tmp_path / "production.yaml"
    pinned = yaml.safe_load((tools.CHART / "ci" / "default-values.yaml").read_text())
    pinned["image"] |= {"tag": "0.0.1", "digest": f"sha256:{'b' * 64}"}
    values.write_text(yaml.safe_dump(pinned))

    cluster.run("release", "green", *image, "--values", str(values))
    [call] = cluster.changes
    flags = [part for part in call[4:] if part != "--rollback-on-failure"]
    objects = tools.objects("vaultr-green", *flags)

    workloads = [one for one in objects if one["kind"] in ("Deployment", "Job", "CronJob")]
    assert {tools.pod_spec(one)[1]["containers"][0]["image"] for one in workloads} == {deployed}
    versions = {one["metadata"]["labels"]["app.kubernetes.io/version"] for one in workloads}
    assert versions == {"1.2.3" if image[0] == "--tag" else "sha256-aaaaaaaaaaaa"}


def test_release_with_tag_and_digest_is_rejected(cluster):
    done = cluster.run("release", "green", "--tag", "1", "--digest", f"sha256:{'a' * 64}")

    assert done.returncode == REJECTED
    assert "usage:" in done.stderr


@pytest.mark.parametrize("status", [403, 500, 503])
def test_switch_to_colour_with_failing_api_is_rejected(cluster, status):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.change(api=status)

    done = cluster.run("switch", "green")

    assert done.returncode == REJECTED
    assert f"answered {status}" in done.stderr
    assert cluster.live == "blue"
    assert not any("patch" in call for call in cluster.state["calls"])


@pytest.mark.parametrize(
    ("smoke", "url"),
    [
        ("", "https://vault.example.org"),
        ("https://secrets.example.net/api/v1/openapi.json", "https://secrets.example.net"),
    ],
)
def test_api_check_uses_the_public_host_name(cluster, smoke, url):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.run("switch", "green", SMOKE_URL=smoke)

    [sent] = [call for call in cluster.state["calls"] if "exec" in call]
    assert sent[4] == "vaultr-green-x1"
    assert sent[-3:] == ["vaultr.healthcheck", "--api", url]


def test_rollback_works_while_the_api_returns_errors(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.run("switch", "green")
    cluster.change(api=503)

    done = cluster.run("rollback")

    assert done.returncode == DONE
    assert "answered 503" in done.stderr
    assert cluster.live == "blue"


def test_new_colour_starts_with_replica_count_of_old_one(cluster):
    cluster.change(pods={"blue": 6, "green": 0})

    cluster.run("release", "green", "--tag", "1.2.3")

    assert "minReplicaCount=6" in cluster.changes[0]
    assert cluster.state["pods"]["green"] == 6


def test_upgrade_of_shared_objects_keeps_active_colour(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.run("switch", "green")

    done = cluster.run("shared", "--tag", "1.2.3")

    assert done.returncode == DONE
    call = cluster.changes[-1]
    assert call[:4] == ["helm", "upgrade", "--install", "vaultr"]
    assert {"web.enabled=false", "service.colour=green"} <= {*call}
    assert cluster.live == "green"


def test_retire_of_colour_that_owns_service_is_rejected(cluster):
    cluster.change(annotations={"meta.helm.sh/release-name": "vaultr-blue"})
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.run("switch", "green")

    done = cluster.run("retire", "blue", HOLD_SECONDS="0")
    again = cluster.run("release", "blue", "--tag", "1.2.4", HOLD_SECONDS="0")

    assert done.returncode == REJECTED
    assert "owns the Service" in done.stderr
    assert again.returncode == DONE
    assert {"service.create=true", "service.colour=green"} <= {*cluster.changes[-1]}


def test_switch_moves_users_and_rollback_moves_them_back(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")

    assert cluster.run("switch", "green").returncode == DONE
    assert cluster.live == "green"
    assert cluster.run("rollback").returncode == DONE
    assert cluster.live == "blue"
    assert cluster.run("rollback").returncode == DONE
    assert cluster.live == "green"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["switch", "green"], "no ready pod"),
        (["switch", "blue"], "already"),
        (["release", "blue", "--tag", "1"], "users are on blue"),
        (["rollback"], "no switch is recorded"),
        (["retire", "blue"], "users are on blue"),
    ],
)
def test_unsafe_command_is_rejected_without_changes(cluster, arguments, reason):
    done = cluster.run(*arguments)

    assert done.returncode == REJECTED
    assert reason in done.stderr
    assert cluster.changes == []


def test_release_without_service_or_colour_selector_is_rejected(tmp_path):
    for number, selector in enumerate([{}, {"app": "vaultr"}]):
        folder = tmp_path / str(number)
        folder.mkdir()
        cluster = Cluster(folder, selector=selector)

        done = cluster.run("release", "green", "--tag", "1")

        assert done.returncode == REJECTED
        assert "Service" in done.stderr
        assert cluster.changes == []


def test_missing_kubectl_is_reported(cluster):
    done = cluster.run("status", PATH="/usr/bin:/bin")

    assert done.returncode in (REJECTED, 127)
    if done.returncode == REJECTED:
        assert "kubectl is not on PATH" in done.stderr


@pytest.mark.parametrize("arguments", [["release", "green"], ["switch", "red"], [], ["switch"]])
def test_invalid_arguments_print_usage(cluster, arguments):
    done = cluster.run(*arguments)

    assert done.returncode == REJECTED
    assert "usage:" in done.stderr
    assert cluster.state["calls"] == []


def test_failed_release_does_not_move_users(cluster):
    cluster.change(fails=["helm upgrade"])

    done = cluster.run("release", "green", "--tag", "1.2.3")

    assert done.returncode == FAILED
    assert cluster.live == "blue"


def test_release_without_ready_pod_fails(cluster):
    cluster.change(comes_up=0)

    assert cluster.run("release", "green", "--tag", "1.2.3").returncode == FAILED


def test_retire_within_hold_time_is_rejected(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.run("switch", "green")

    stored = cluster.run("retire", "blue")
    over = cluster.run("release", "blue", "--tag", "1.2.4")
    gone = cluster.run("retire", "blue", HOLD_SECONDS="0")

    assert (stored.returncode, over.returncode, gone.returncode) == (REJECTED, REJECTED, DONE)
    assert "rollback" in stored.stderr
    assert cluster.state["pods"]["blue"] == 0
    assert cluster.run("rollback").returncode == REJECTED


def test_switch_is_reverted_when_pods_fail_during_watch(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.change(on_switch=f"{_break_green(cluster)} #")

    done = cluster.run("switch", "green", WATCH_SECONDS="20")

    assert done.returncode == FAILED
    assert "rolled back to blue" in done.stderr
    assert cluster.live == "blue"


def test_reverted_switch_allows_immediate_release_of_a_fix(cluster):
    """No rollback to the failed colour is possible, and the fixed release need not wait."""
    cluster.run("release", "green", "--tag", "1.2.3")
    before = cluster.state["annotations"]
    cluster.change(on_switch=f"{_break_green(cluster)} #")
    cluster.run("switch", "green", WATCH_SECONDS="20")
    cluster.change(on_switch="")

    assert cluster.state["annotations"] == before
    assert "no switch is recorded" in cluster.run("rollback").stderr
    assert cluster.run("release", "green", "--tag", "1.2.4").returncode == DONE
    assert cluster.run("switch", "green").returncode == DONE


def test_switch_terminated_during_watch_is_reverted(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")

    with cluster.started("switch", "green", WATCH_SECONDS="60") as process:
        until = time.monotonic() + 20
        while cluster.live != "green":
            assert time.monotonic() < until
            time.sleep(0.05)
        process.terminate()
        assert process.wait(20) == FAILED

    assert cluster.live == "blue"


def test_failed_revert_reports_the_active_colour(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.change(on_switch=f"{_break_green(cluster, fails=['--patch'])} #")

    done = cluster.run("switch", "green", WATCH_SECONDS="20")

    assert done.returncode == FAILED
    assert "STILL ON green" in done.stderr
    assert "rolled back" not in done.stderr


def test_helm_3_is_called_with_atomic_flag(cluster):
    cluster.change(helm=3)

    assert cluster.run("release", "green", "--tag", "1.2.3").returncode == DONE
    assert "--atomic" in cluster.changes[-1]


def test_switch_to_fewer_pods_prints_warning(cluster):
    cluster.change(pods={"blue": 6, "green": 2})

    done = cluster.run("switch", "green")

    assert done.returncode == DONE
    assert "6 pods answer now, 2 will" in done.stderr


def _break_green(cluster, fails=()):
    """Return a command after which no green pod is ready and calls with these words fail."""
    script = cluster.path.parent / "break-green"
    script.write_text(
        "import json\n"
        f"state = json.load(open({str(cluster.path)!r}))\n"
        "state['pods']['green'] = 0\n"
        f"state['fails'] = {list(fails)!r}\n"
        f"json.dump(state, open({str(cluster.path)!r}, 'w'))\n"
    )
    return f"python3 {script}"


class _Failing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_args):
        pass


def test_switch_is_reverted_when_smoke_url_fails(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/ready"

        done = cluster.run("switch", "green", WATCH_SECONDS="20", SMOKE_URL=url)
        server.shutdown()

    assert done.returncode == FAILED
    assert "503" in done.stderr
    assert cluster.live == "blue"


def test_switch_with_rejected_patch_keeps_active_colour(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.change(fails=["--patch"])

    done = cluster.run("switch", "green")

    assert done.returncode == FAILED
    assert cluster.live == "blue"


def test_status_shows_active_colour_and_rollback_target(cluster):
    before = json.loads(cluster.run("status", "--json").stdout)
    cluster.run("release", "green", "--tag", "1.2.3")
    cluster.run("switch", "green")
    after = json.loads(cluster.run("status", "--json").stdout)

    assert before == {
        "live": "blue", "previous": None, "hold_seconds": 0, "ready": {"blue": 2, "green": 0},
    }  # fmt: skip
    assert (after["live"], after["previous"]) == ("green", "blue")
    assert 3500 < after["hold_seconds"] <= 3600
    assert "users are here" in cluster.run("status").stdout


def test_switch_watches_for_configured_time(cluster):
    cluster.run("release", "green", "--tag", "1.2.3")
    began = time.monotonic()

    assert cluster.run("switch", "green", WATCH_SECONDS="3").returncode == DONE
    assert time.monotonic() - began >= 3
