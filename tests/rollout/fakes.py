"""A `kubectl` and a `helm` that keep a cluster in a file, and write down how they were called."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.rollout import tools

PROGRAM = '''#!{python}
"""One program under two names; what it knows lies in CLUSTER."""
import json, os, sys

place = os.environ["CLUSTER"]
cluster = json.load(open(place))
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
cluster["calls"].append([name, *arguments])


def end(text="", code=0):
    json.dump(cluster, open(place, "w"))
    print(text, file=sys.stderr if code else sys.stdout)
    sys.exit(code)


if any(word in " ".join([name, *arguments]) for word in cluster["fails"]):
    end("error: it fails, as the test wants", 1)
if name == "helm":
    release = arguments[2] if arguments[0] == "upgrade" else arguments[1]
    colour = release.rsplit("-", 1)[1]
    cluster["pods"][colour] = cluster["comes_up"] if arguments[0] == "upgrade" else 0
    end("done")
verb = arguments[2]
if verb == "get" and arguments[3] == "service":
    if not cluster["selector"]:
        end("Error from server (NotFound): services not found", 1)
    end(json.dumps({{"metadata": {{"annotations": cluster["annotations"]}},
                    "spec": {{"selector": cluster["selector"]}}}}))
if verb == "get":
    colour = arguments[arguments.index("--selector") + 1].rsplit("=", 1)[1]
    ready = {{"conditions": [{{"type": "Ready", "status": "True"}}]}}
    starting = {{"conditions": [{{"type": "Ready", "status": "False"}}]}}
    pods = [{{"metadata": {{}}, "status": ready}}] * cluster["pods"][colour]
    end(json.dumps({{"items": [*pods, {{"metadata": {{}}, "status": starting}}]}}))
if verb == "patch":
    test, replace = json.loads(arguments[arguments.index("--patch") + 1])
    if cluster["selector"]["vaultr.app/colour"] != test["value"]:
        end("the test operation failed", 1)
    cluster["selector"]["vaultr.app/colour"] = replace["value"]
    json.dump(cluster, open(place, "w"))
    if cluster["on_switch"]:
        os.system(cluster["on_switch"] + " " + replace["value"])
        cluster = json.load(open(place))
    end("patched")
if verb == "annotate":
    cluster["annotations"].update(one.split("=", 1) for one in arguments[6:])
    end("annotated")
end("fine")
'''


class Cluster:
    """The file, and the script under test run against it."""

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
                "calls": [],
                **more,
            }
        )

    def run(self, *arguments, **environ):
        """Run deploy/blue-green; it watches for no time unless told otherwise."""
        path = f"{self.programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
        given = {"PATH": path, "CLUSTER": str(self.path), "WATCH_SECONDS": "0", **environ}
        return subprocess.run(
            [tools.ROOT / "deploy" / "blue-green", *arguments],
            env=given, capture_output=True, text=True,
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
        reading = {"get", "rollout", "version"}
        return [call for call in self.state["calls"] if not reading & set(call[1:4])]

    def _write(self, state):
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(state))
        os.replace(draft, self.path)
