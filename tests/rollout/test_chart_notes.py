"""NOTES.txt: the next command, and the connections that this release opens."""

import re

import pytest

from tests.rollout import tools
from vaultr.ops.doctor import connections


def notes(name, *flags):
    values = tools.CHART / "ci" / f"{name}-values.yaml"
    done = tools.run(
        "helm", "install", "vaultr", str(tools.CHART), "--namespace", "vaultr",
        "--values", str(values), "--dry-run=client", *flags,
    )  # fmt: skip
    assert done.returncode == 0, tools.output_of(done)
    return done.stdout.partition("NOTES:\n")[2]


@pytest.mark.parametrize(
    ("pods", "processes", "threads"), [(2, 2, 4), (1, 1, 2), (3, 4, 16), (8, 2, 20)]
)
def test_notes_and_doctor_count_the_same_connections(pods, processes, threads):
    values = f"replicaCount={pods},web.concurrency={processes},web.threads={threads}"
    text = notes("default", "--set", values)

    needed = connections.Deployment(pods, processes, threads, (16, 16))
    assert f"up to {needed.usual}, and {needed.during_release} during a release" in text
    assert ("WARNING: PostgreSQL" in text) == (needed.during_release > 92)


def test_default_release_fits_default_postgresql_connection_limit():
    [release] = re.findall(r"and (\d+) during a release", notes("default"))

    assert int(release) + 3 + connections.OTHERS <= 100


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("default", "helm test -n vaultr vaultr"),
        ("default", "exec deploy/vaultr-blue -- flask doctor --pods 2"),
        ("green", "SERVICE=vaultr deploy/blue-green switch green"),
        ("shared", "SERVICE=vaultr deploy/blue-green release blue --tag TAG --values FILE"),
    ],
)
def test_notes_show_the_next_command(name, command):
    assert command in notes(name)
