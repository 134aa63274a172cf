"""The part of a Kubernetes API that Helm needs before an install: kinds, and one Service."""

import contextlib
import http.server
import json
import threading

from tests.rollout.tools import rendered


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.server.objects.get(self.path.partition("?")[0])
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
        body = json.dumps(known or {**missing, "code": 404}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@contextlib.contextmanager
def serving(folder, colour=None):
    """Yield the path of a kubeconfig.

    :param colour: the colour to which the Service of the release ``vaultr-blue`` points; None
        without a Service.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.objects = _discovery()
        if colour:
            server.objects["/api/v1/namespaces/vaultr/services/vaultr"] = {
                "kind": "Service",
                "apiVersion": "v1",
                "metadata": {
                    "name": "vaultr",
                    "namespace": "vaultr",
                    "labels": {"app.kubernetes.io/managed-by": "Helm"},
                    "annotations": {
                        "meta.helm.sh/release-name": "vaultr-blue",
                        "meta.helm.sh/release-namespace": "vaultr",
                    },
                },
                "spec": {"selector": {"vaultr.app/colour": colour}},
            }
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = folder / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [
                        {
                            "name": "c",
                            "cluster": {"server": f"http://127.0.0.1:{server.server_port}"},
                        }
                    ],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "users": [{"name": "u", "user": {}}],
                    "current-context": "c",
                }
            )
        )
        yield path
        server.shutdown()


def _discovery():
    """List the kinds that the chart creates, and no others."""
    kinds = {(one["apiVersion"], one["kind"]) for one in rendered("all-on")}
    answers = {
        "/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    }
    for version in sorted({version for version, _ in kinds}):
        group = version.rpartition("/")[0]
        resources = [
            {
                "name": f"{kind.lower()}s", "singularName": kind.lower(), "namespaced": True,
                "kind": kind, "verbs": ["get"],
            }
            for other, kind in sorted(kinds) if other == version
        ]  # fmt: skip
        place = f"/apis/{version}" if group else f"/api/{version}"
        answers[place] = {
            "kind": "APIResourceList", "groupVersion": version, "resources": resources,
        }  # fmt: skip
        if group:
            one = {"groupVersion": version, "version": version.rpartition("/")[2]}
            answers["/apis"]["groups"].append(
                {"name": group, "versions": [one], "preferredVersion": one}
            )
    return answers
