"""A fake `kubectl` and `helm` that store a cluster in a file and record their calls."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.rollout import tools

PROGRAM = '''#!{python}
"""One program under two names; the file CLUSTER has its state."""
import json, os, sys

place = os.environ["CLUSTER"]
cluster = json.load(open(place))
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
cluster["calls"].append([name, *arguments])


def save():
    """Replace the file atomically, so that readers never see a part of it."""
    with open(place + ".next", "w") as file:
        json.dump(cluster, file)
    os.replace(place + ".next", place)


def end(text="", code=0):
    save()
    print(text, file=sys.stderr if code else sys.stdout)
    sys.exit(code)


if any(word in " ".join([name, *arguments]) for word in cluster["fails"]):
    end("error: failed as the test requires", 1)
if name == "helm" and cluster["helm"] == 3 and "--rollback-on-failure" in arguments:
    end("Error: unknown flag: --rollback-on-failure", 1)
if name == "helm":
    release = arguments[2] if arguments[0] == "upgrade" else arguments[1]
    colour = release.rpartition("-")[2]
    if colour not in cluster["pods"]:
        end("done")
    cluster["pods"][colour] = cluster["comes_up"] if arguments[0] == "upgrade" else 0
    end("done")
verb = arguments[2]
if verb == "get" and arguments[3] == "service":
    if not cluster["selector"]:
        end("Error from server (NotFound): services not found", 1)
    end(json.dumps({{"metadata": {{"annotations": cluster["annotations"]}},
                    "spec": {{"selector": cluster["selector"]}}}}))
if verb == "get" and arguments[3] == "configmap":
    end(json.dumps({{"data": {{"BASE_URL": cluster["base_url"]}}}}))
if verb == "exec":
    # The result of the health check that runs in a pod.
    program = arguments[arguments.index("--") + 1 :]
    if program[:3] != ["python", "-m", "vaultr.healthcheck"] or cluster["api"] != 200:
        end(f"answered {{cluster['api']}}, exit code 1", 1)
    end()
if verb == "scale":
    colour = arguments[3].rsplit("-", 1)[1]
    if cluster["comes_up"]:
        cluster["pods"][colour] = int(arguments[4].rsplit("=", 1)[1])
    end("scaled")
if verb == "get":
    colour = arguments[arguments.index("--selector") + 1].rsplit("=", 1)[1]
    ready = {{"conditions": [{{"type": "Ready", "status": "True"}}]}}
    starting = {{"conditions": [{{"type": "Ready", "status": "False"}}]}}
    pods = [{{"metadata": {{"name": f"vaultr-{{colour}}-x1"}}, "status": ready}}]
    pods *= cluster["pods"][colour]
    end(json.dumps({{"items": [*pods, {{"metadata": {{}}, "status": starting}}]}}))
if verb == "patch":
    # Like the real one: the parent of a pointer must exist, and all steps are applied or none.
    found = {{"metadata": {{}}, "spec": {{"selector": dict(cluster["selector"])}}}}
    if cluster["annotations"]:
        found["metadata"]["annotations"] = dict(cluster["annotations"])
    try:
        for step in json.loads(arguments[arguments.index("--patch") + 1]):
            place_of, at = found, [
                one.replace("~1", "/").replace("~0", "~") for one in step["path"][1:].split("/")
            ]
            for one in at[:-1]:
                place_of = place_of[one]
            if step["op"] == "add":
                place_of[at[-1]] = step["value"]
                continue
            old = place_of.pop(at[-1])
            if step["op"] == "test" and old != step["value"]:
                raise KeyError(step["path"])
            if step["op"] != "remove":
                place_of[at[-1]] = step["value"]
    except KeyError as error:
        end(f"error: the server rejected our request due to an error in our request {{error}}", 1)
    cluster["selector"] = found["spec"]["selector"]
    cluster["annotations"] = found["metadata"].get("annotations", {{}})
    save()
    if cluster["on_switch"]:
        os.system(cluster["on_switch"] + " " + cluster["selector"]["vaultr.app/colour"])
        cluster = json.load(open(place))
    end("patched")
end("done")
'''


class Cluster:
    """The cluster's file, and the script under test that uses it."""

    def __init__(self, folder, **more):
        self.path = folder / "cluster.json"
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in ("kubectl", "helm"):
            program = self.programs / name
            program.write_text(PROGRAM.format(python=sys.executable))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self._write(
            {
                "selector": {"app.kubernetes.io/name": "vaultr", "vaultr.app/colour": "blue"},
                "annotations": {},
                "pods": {"blue": 2, "green": 0},
                "comes_up": 2,
                "fails": [],
                "on_switch": "",
                "helm": 4,
                "api": 200,
                "base_url": "https://vault.example.org",
                "calls": [],
                **more,
            }
        )

    def run(self, *arguments, **environ):
        """Run deploy/blue-green, by default without time for watching."""
        with self.started(*arguments, **environ) as process:
            out, output = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, output)

    def started(self, *arguments, **environ):
        """Start it without waiting for its end."""
        path = f"{self.programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
        provided = {"PATH": path, "CLUSTER": str(self.path), "WATCH_SECONDS": "0", **environ}
        return subprocess.Popen(
            [tools.ROOT / "deploy" / "blue-green", *arguments],
            env=provided, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def change(self, **more):
        self._write({**self.state, **more})

    @property
    def state(self):
        return json.loads(self.path.read_text())

    @property
    def live(self):
        return self.state["selector"]["vaultr.app/colour"]

    @property
    def changes(self):
        """List the calls that change something."""
        reading = {"get", "rollout", "version", "exec"}
        return [call for call in self.state["calls"] if not reading & set(call[1:4])]

    def _write(self, state):
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(state))
        os.replace(draft, self.path)
