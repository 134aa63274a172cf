"""Every command of docs/aws.md, in order, in a shell, with an empty moto account."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rollout import aws, tools

PAGE = tools.ROOT / "docs" / "aws.md"
# Commands that build an image, or need a cluster.
ELSEWHERE = re.compile(r"(?m)^(docker (?:.*\\\n)*.*|.*# Kubernetes)\n")
COMMAND = re.compile(r"aws |deploy/aws/|flask |for |output\(\)")
# moto does not support this operation, but the command line sent it.
ONLY_IN_AN_ACCOUNT = {"aws sesv2 get-account\n": "(404) when calling the GetAccount operation"}
SECRETS = {
    **{
        f"{kind}database_url": f"postgresql://{role}:{'p' * 24}@old.example.org:5432/vaultr"
        for kind, role in (
            ("", "vaultr_app"), ("migration_", "vaultr_owner"), ("sequencer_", "vaultr_sequencer"),
        )
    },
    "database_ca": "certificates", "redis_url": "rediss://vaultr:p@cache.example.org:6379/0",
    "backup_scratch_url": "postgresql://vaultr_scratch:p@old.example.org:5432/postgres",
    "backup_identity": "AGE-SECRET-KEY-1",
}  # fmt: skip


def commands():
    """Return the page's commands in order: code blocks, and inline calls of `aws`."""
    text = PAGE.read_text().partition("## What the scripts may do")[0]
    found = re.finditer(r"(?m)^((?:    .*\n|\n(?=    ))+)|`(aws [a-z][^`]*)`", text)
    blocks = [re.sub(r"(?m)^    ", "", one[1]) if one[1] else f"{one[2]}\n" for one in found]
    return [one.strip("\n") + "\n" for one in blocks]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A shell in an operator's empty folder, and the account."""
    folder = tmp_path_factory.mktemp("operator")
    with aws.Cloud(tmp_path_factory.mktemp("account")) as cloud:
        cloud.prepare()
        work = folder / "work"
        work.mkdir()
        (work / "deploy").symlink_to(tools.ROOT / "deploy")
        (work / "production").symlink_to(cloud.parameters(app={"Serve": "no"}))
        programs = folder / "bin"
        programs.mkdir()
        (programs / "flask").symlink_to(Path(sys.executable).with_name("flask"))
        environ = cloud.environ | {
            "PATH": f"{programs}:{aws.PYTHON.parent}:/usr/bin:/bin",
            "FLASK_APP": str(tools.ROOT / "wsgi.py"), "AWS_PAGER": "",
        }  # fmt: skip

        def run(script):
            return subprocess.run(
                ["bash", "-eu", "-o", "pipefail", "-c", script],
                cwd=work, env=environ, capture_output=True, text=True,
            )  # fmt: skip

        yield run, cloud, work


def test_commands_of_aws_page_succeed_in_order(shell):
    run, cloud, work = shell
    done = {}
    for block in commands():
        if "docker push" in block:
            cloud.push("0.1.0", "0.2.0", "0.2.1")
            cloud.snapshot("daily-2026-11-01", "2026-11-01T02:00:00+00:00")
        script = ELSEWHERE.sub("", block)
        if not COMMAND.match(script):
            continue
        _prepare(script, work)
        done[script] = run(script)
        if script in ONLY_IN_AN_ACCOUNT:
            assert ONLY_IN_AN_ACCOUNT[script] in done[script].stderr
            continue
        assert done[script].returncode == 0, f"{script}\n{tools.output_of(done[script])}"

    assert sum(script.count("aws ") for script in done) >= 8
    assert sum(script.count("deploy/aws/") for script in done) >= 15
    version = subprocess.run(["/usr/bin/aws", "--version"], capture_output=True, text=True).stdout
    assert version.startswith("aws-cli/2.")


def _prepare(script, work):
    """Do what the page asks the operator to do by hand before a block."""
    secrets = work / "secrets"
    if "put-secret-value" in script:
        for name, text in SECRETS.items():
            (secrets / name).write_text(text)
        assert (secrets / "smtp_pass").read_text().strip()
    if script.startswith("deploy/aws/stacks apply --parameters production app\n"):
        path = work / "production" / "app.json"
        entries = json.loads(path.read_text())
        for one in entries:
            if one["ParameterKey"] == "Serve":
                one["ParameterValue"] = "yes"
        path.write_text(json.dumps(entries))
