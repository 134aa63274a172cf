"""The CI examples pass the checks of their systems, and run unchanged on this host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.wheels import build_wheel
from tests.rollout import tools, vault_site

EXAMPLES = tools.ROOT / "deploy" / "ci"
WORKFLOW = ".github/workflows/deploy.yml"
GITLAB = tools.FOLDER / "npm" / "node_modules" / ".bin" / "gitlab-ci-local"


@pytest.fixture(scope="module")
def vaults(tmp_path_factory):
    home, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("owner")
    with vault_site.serving(home, folder, "ci@example.org") as found:
        yield found


@pytest.fixture(scope="module")
def variables(vaults, tmp_path_factory):
    """Return the variables of both examples: the server, the wheel, and the token in a file."""
    folder = tmp_path_factory.mktemp("variables")
    site, device = vaults
    device.done("machines", "add", "ci", "--vault", "prod", "--out", str(folder / "token"))
    wheel = build_wheel(tmp_path_factory.mktemp("sources"))
    return {
        "VAULTR_URL": site.url,
        "VAULTR_WHEEL": str(wheel),
        "VAULTR_TOKEN_FILE": str(folder / "token"),
    }


@pytest.fixture
def repository(tmp_path):
    """A repository with both examples, and a script that records its environment."""
    folder = tmp_path / "repository"
    (folder / WORKFLOW).parent.mkdir(parents=True)
    shutil.copy(EXAMPLES / "github-workflow.yml", folder / WORKFLOW)
    shutil.copy(EXAMPLES / "gitlab-ci.yml", folder / ".gitlab-ci.yml")
    script = folder / "deploy.sh"
    script.write_text(f'#!/bin/sh\nenv > {tmp_path / "environment"}\necho "deployed on $PORT"\n')
    script.chmod(0o755)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def environ(tmp_path):
    """Return an environment whose python3 and pip install to a folder of the test."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "python"], check=True)
    path = f"{tmp_path / 'python' / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))
    }


def environment_of_script(repository):
    text = (repository.parent / "environment").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_github_workflow_passes_actionlint(repository):
    done = tools.run("actionlint", "-no-color", str(repository / WORKFLOW))

    assert done.returncode == 0, tools.output_of(done)


def test_actionlint_reports_misspelled_expression(repository):
    text = (repository / WORKFLOW).read_text()
    (repository / WORKFLOW).write_text(text.replace("secrets.", "secret."))

    done = tools.run("actionlint", "-no-color", str(repository / WORKFLOW))

    assert done.returncode == 1
    assert "undefined variable" in done.stdout


def test_github_workflow_deploys_with_act(repository, environ, variables, tmp_path):
    token = Path(variables["VAULTR_TOKEN_FILE"]).read_text().strip()
    (tmp_path / "secrets").write_text(f"VAULTR_TOKEN={token}\n")
    (tmp_path / "vars").write_text("".join(f"{n}={v}\n" for n, v in variables.items()))

    done = subprocess.run(
        [tools.FOLDER / "bin" / "act", "push", "--platform", "ubuntu-latest=-self-hosted",
         "--secret-file", tmp_path / "secrets", "--var-file", tmp_path / "vars"],
        cwd=repository, env=environ, capture_output=True, text=True, timeout=600,
    )  # fmt: skip

    assert done.returncode == 0, tools.output_of(done)
    assert "deployed on 80" in done.stdout
    assert token not in done.stdout + done.stderr
    found = environment_of_script(repository)
    assert (found["PORT"], found["KEY"]) == ("80", "a&b")
    assert not {"VAULTR_TOKEN", "VAULTR_TOKEN_FILE"} & found.keys()


def test_gitlab_pipeline_deploys_with_gitlab_ci_local(repository, environ, variables):
    flags = [
        word for name, value in variables.items() for word in ("--variable", f"{name}={value}")
    ]

    done = subprocess.run(
        [GITLAB, "--force-shell-executor", *flags],
        cwd=repository, env=environ, capture_output=True, text=True, timeout=600,
    )  # fmt: skip

    assert done.returncode == 0, tools.output_of(done)
    assert "json schema validated" in done.stdout + done.stderr
    assert "deployed on 80" in done.stdout
    found = environment_of_script(repository)
    assert (found["PORT"], found["KEY"]) == ("80", "a&b")
    assert not {"VAULTR_TOKEN", "VAULTR_TOKEN_FILE"} & found.keys()
