"""Run the programs that read deployment files."""

import functools
import json
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".tools"
CHART = ROOT / "helm" / "vaultr"
# The API groups that the operators define, not Kubernetes itself.
OPERATORS = {
    "cert-manager.io", "external-secrets.io", "gateway.networking.k8s.io", "monitoring.coreos.com",
}  # fmt: skip
VALUES_FILES = sorted((CHART / "ci").glob("*-values.yaml"))


def run(*command, **more):
    """Run a tool from the project's root, and return the finished process."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **more)


def output_of(done):
    """Return the output of a tool, for the message of a failed assertion."""
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


def template(*flags):
    """Render the chart with these flags."""
    return run("helm", "template", "vaultr", str(CHART), "--namespace", "vaultr", *flags)


def objects(release, *arguments):
    """Return the objects that ``helm template RELEASE`` renders with these arguments."""
    done = run("helm", "template", release, *arguments)
    assert done.returncode == 0, output_of(done)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@functools.cache
def rendered(name, *flags):
    """Return the objects of the chart with one of the test values, such as ``default``."""
    done = template("--values", str(CHART / "ci" / f"{name}-values.yaml"), *flags)
    assert done.returncode == 0, output_of(done)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(objects, kind, component=None):
    """List the objects of a kind, optionally only of one component."""
    label = "app.kubernetes.io/component"
    found = [one for one in objects if one["kind"] == kind]
    return [one for one in found if component in (None, one["metadata"]["labels"].get(label))]


def pod_spec(workload):
    """Return the pod of a Deployment, Job or CronJob: its metadata and its spec."""
    spec = workload["spec"]
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    return spec["template"]["metadata"], spec["template"]["spec"]


def check_schemas(found, folder, versions):
    """Check objects against the schemas of Kubernetes and of the operators that define them."""
    custom = [one for one in found if one["apiVersion"].split("/")[0] in OPERATORS]
    done = run("node", ".tools/npm/validate.js", input=json.dumps(custom))
    assert done.returncode == 0, output_of(done)
    assert done.stdout.count("valid:") == len(custom)
    core = [one for one in found if one not in custom]
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(core))
    for version in versions:
        done = run("kubernetes-validate", "--strict", "--kubernetes-version", version, str(path))
        assert done.returncode == 0, output_of(done)
        passed = done.stdout.count("passed for") + done.stderr.count("passed for")
        assert passed == len(core)


def checkov(framework, *target):
    """Run checkov without network access, and return the failed checks."""
    done = run(
        "checkov", "--quiet", "--compact", "--skip-download", "--output", "json",
        "--framework", framework, *target,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert result["summary"]["passed"] > 0, output_of(done)
    return [
        f"{one['check_id']} {one['resource']}: {one['check_name']}"
        for one in result["results"]["failed_checks"]
    ]
