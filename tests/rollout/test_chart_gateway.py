"""The gateway of the chart: its objects, and its command with a real server."""

import json
import os
import subprocess
from urllib.parse import quote_plus

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding

from tests.harness.client.devices import PROGRAM
from tests.harness.servers import free_port
from tests.harness.timing import until
from tests.harness.tls_sites import Authority
from tests.rollout import tools, vault_site
from tests.rollout.tools import of_kind, pod_spec, rendered

ON = ("--set", "gateway.enabled=true,gateway.existingSecret=g,gateway.tlsSecretName=t")
EXAMPLES = tools.ROOT / "deploy" / "external-secrets"
HOST = "vaultr-gateway"  # the name of the Service, as in the examples


def deployment(*flags):
    [found] = of_kind(rendered("default", *ON, *flags), "Deployment", "gateway")
    return found


def examples():
    """Return the objects of the examples for External Secrets Operator, by kind and name."""
    texts = [path.read_text() for path in sorted(EXAMPLES.glob("*.yaml"))]
    found = [one for text in texts for one in yaml.safe_load_all(text)]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


@pytest.mark.parametrize(("name", "flags", "count"), [
    ("default", (), 0), ("default", ON, 1), ("shared", ON, 1), ("green", ON, 0),
])  # fmt: skip
def test_gateway_is_rendered_only_by_service_owner_when_enabled(name, flags, count):
    found = rendered(name, *flags)

    kinds = ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy")
    assert [len(of_kind(found, kind, "gateway")) for kind in kinds] == [count] * 4


@pytest.mark.parametrize(("flags", "about"), [
    (("--set", "gateway.enabled=true,gateway.tlsSecretName=t"), "existingSecret"),
    (("--set", "gateway.enabled=true,gateway.existingSecret=g"), "tlsSecretName"),
    ((*ON, "--set", "gateway.url=http://vault.example.org"), "url"),
    ((*ON, "--set", "gateway.maxAge=10"), "maxAge"),
    ((*ON, "--set", "gateway.everySeconds=0"), "everySeconds"),
    ((*ON, "--set", "gateway.token=vmt_x"), "token"),
])  # fmt: skip
def test_error_names_invalid_gateway_value(flags, about):
    values = tools.CHART / "ci" / "default-values.yaml"

    done = tools.template("--values", str(values), *flags)

    assert done.returncode != 0
    assert about in done.stderr
    assert "schema" in done.stderr


def test_gateway_pod_gets_no_secrets_or_settings_of_server():
    [full] = of_kind(rendered("all-on"), "Deployment", "gateway")

    for found in (deployment(), full):
        spec = pod_spec(found)[1]
        secrets = {one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one}
        names = {one["name"] for one in spec["containers"][0]["env"]}
        assert "vaultr-secrets" not in secrets
        assert "serviceAccountName" not in spec
        assert "envFrom" not in pod_spec(deployment())[1]["containers"][0]
        assert "vaultr.app/metrics" not in pod_spec(found)[0]["labels"]
        assert {"VAULTR_URL", "VAULTR_TOKEN_FILE", "VAULTR_DIR"} <= names
        assert not names & {"VAULTR_TOKEN", "DATABASE_URL_FILE", "BASE_URL"}


def test_gateway_pod_has_same_security_context_as_web():
    [web] = of_kind(rendered("default", *ON), "Deployment", "web")
    spec, of_web = pod_spec(deployment())[1], pod_spec(web)[1]

    assert spec["securityContext"] == of_web["securityContext"]
    assert spec["containers"][0]["securityContext"] == of_web["containers"][0]["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    for part in ("requests", "limits"):
        assert {"cpu", "memory"} <= spec["containers"][0]["resources"][part].keys()


def test_gateway_probes_use_https():
    container = pod_spec(deployment())[1]["containers"][0]

    requested = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert {one["scheme"] for one in requested.values()} == {"HTTPS"}
    assert {name: one["path"] for name, one in requested.items()} == {
        "startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz",
    }  # fmt: skip


def test_network_policy_limits_gateway_to_server_and_dns():
    [policy] = of_kind(rendered("all-on"), "NetworkPolicy", "gateway")
    labels = pod_spec(of_kind(rendered("all-on"), "Deployment", "gateway")[0])[0]["labels"]

    [ingress] = policy["spec"]["ingress"]
    namespaces = [dict(each["namespaceSelector"]["matchLabels"]) for each in ingress["from"]]
    ports = [each["port"] for rule in policy["spec"]["egress"] for each in rule["ports"]]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert [*map(dict.popitem, namespaces)] == [
        ("kubernetes.io/metadata.name", name) for name in ("external-secrets", "monitoring")
    ]
    assert ingress["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert sorted(ports) == [53, 53, 443]
    assert all(rule["to"] for rule in policy["spec"]["egress"])


def test_gateway_server_url_defaults_to_base_url():
    def url(*flags):
        env = pod_spec(deployment(*flags))[1]["containers"][0]["env"]
        return {one["name"]: one["value"] for one in env}["VAULTR_URL"]

    assert url() == "https://vault.example.org"
    assert (
        url("--set", "gateway.url=https://internal.example.org") == "https://internal.example.org"
    )


def test_reloader_restarts_gateway_for_new_machine_token():
    annotations = deployment("--set", "reloader.enabled=true")["metadata"]["annotations"]

    assert annotations == {"secret.reloader.stakater.com/reload": "g"}


def test_examples_match_schemas_of_external_secrets_operator(tmp_path):
    tools.check_schemas([*examples().values()], tmp_path, ["1.37"])


def test_examples_refer_to_existing_stores_and_gateway_service():
    found = examples()
    [service] = of_kind(rendered("default", *ON), "Service", "gateway")
    caller = found["Secret", "vaultr-caller"]

    assert service["metadata"]["name"] == HOST
    assert caller["metadata"]["labels"] == {"external-secrets.io/type": "webhook"}
    for (kind, _), each in found.items():
        if kind == "SecretStore":
            webhook = each["spec"]["provider"]["webhook"]
            assert webhook["url"].startswith(
                f"https://{HOST}:{service['spec']['ports'][0]['port']}/"
            )
            assert webhook["secrets"][0]["secretRef"]["name"] == "vaultr-caller"
        if kind == "ExternalSecret":
            reference = each["spec"]["secretStoreRef"]
            assert (reference["kind"], reference["name"]) in found


@pytest.fixture(scope="module")
def vaults(tmp_path_factory):
    home, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("owner")
    with vault_site.serving(home, folder, "chart@example.org") as found:
        yield found


class Pod:
    """The command of the rendered Deployment as a process, with its files and variables."""

    def __init__(self, folder, url):
        self.folder, self.port = folder, free_port()
        container = pod_spec(deployment())[1]["containers"][0]
        listen = f"127.0.0.1:{self.port}"
        words = [self._moved(word.replace("0.0.0.0:8443", listen)) for word in container["command"]]
        environ = {one["name"]: self._moved(one["value"]) for one in container["env"]}
        environ |= {"PATH": os.environ["PATH"], "VAULTR_URL": url}
        assert words[0] == "vaultr"
        self.process = subprocess.Popen([*PROGRAM, *words[1:]], env=environ)

    def _moved(self, word):
        for mount in ("/run/secrets/gateway-tls", "/run/secrets/gateway", "/var/lib/vaultr"):
            word = word.replace(mount, str(self.folder / mount.rpartition("/")[2]))
        return word

    def get(self, url, *headers):
        """Request a URL of the Service; return the status and the body."""
        done = tools.run(
            "curl", "--silent", "--cacert", str(self.folder / "ca.crt"),
            "--write-out", "\n%{http_code}",
            "--connect-to", f"{HOST}:8443:127.0.0.1:{self.port}",
            *(word for each in headers for word in ("--header", each)), url,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


@pytest.fixture
def pod(vaults, tmp_path):
    site, device = vaults
    secret, tls = tmp_path / "gateway", tmp_path / "gateway-tls"
    for each in (secret, tls, tmp_path / "vaultr"):
        each.mkdir()
    device.done(
        "machines", "add", "cluster", "--vault", "prod", "--out", str(secret / "VAULTR_TOKEN")
    )
    allow = ("--callers", str(secret / "callers.json"), "--allow", "vaultr://prod/*")
    device.done(
        "gateway", "token", "operator", *allow, "--out", str(tmp_path / "caller"), password=None
    )
    authority = Authority()
    assert authority.context(tls, HOST) is not None
    (tls / f"{HOST}.crt").rename(tls / "tls.crt")
    (tls / f"{HOST}.key").rename(tls / "tls.key")
    (tmp_path / "ca.crt").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    running = Pod(tmp_path, site.url)
    yield running
    running.process.terminate()
    assert running.process.wait(60) == 0
    device.done("machines", "rm", "cluster", "--keep-keys")


def request_of(store, reference, token, folder):
    """Render a request of a webhook store with Helm, whose functions the operator has too."""
    webhook = store["spec"]["provider"]["webhook"]
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: request, version: 0.1.0}\n")
    lines = [f"url: {webhook['url']}"] + [f"{n}: {v}" for n, v in webhook["headers"].items()]
    text = "\n".join(["{{ with .Values }}", "kind: Request", *lines, "{{ end }}"])
    (folder / "templates" / "request.yaml").write_text(text)
    escaped = {name: quote_plus(value) for name, value in reference.items()}
    values = {"remoteRef": escaped, webhook["secrets"][0]["name"]: {"token": token}}
    (folder / "values.yaml").write_text(json.dumps(values))
    [found] = tools.objects("request", str(folder))
    return found["url"], f"Authorization: {found['Authorization']}"


def test_gateway_answers_operator_requests_of_the_examples(pod, tmp_path):
    found, token = examples(), (tmp_path / "caller").read_text().strip()
    until(
        lambda: pod.process.poll() is not None or pod.get(f"https://{HOST}:8443/readyz")[0] == 200
    )
    values = {}

    for name in ("db", "web"):
        spec = found["ExternalSecret", name]["spec"]
        store = found["SecretStore", spec["secretStoreRef"]["name"]]
        data, extract = spec.get("data"), spec.get("dataFrom")
        reference = data[0]["remoteRef"] if data else extract[0]["extract"]
        status, body = pod.get(*request_of(store, reference, token, tmp_path))
        path = store["spec"]["provider"]["webhook"]["result"]["jsonPath"]
        values[name] = (status, json.loads(body)[path.removeprefix("$.")])

    assert values == {"db": (200, "hunter2"), "web": (200, {"PORT": "80", "KEY": "a&b"})}
    store = found["SecretStore", "vaultr-value"]
    gone = {"key": "prod/gone & lost", "property": "password"}
    assert pod.get(*request_of(store, gone, token, tmp_path))[0] == 404
    assert pod.get(*request_of(store, {**gone, "key": "other/x"}, token, tmp_path))[0] == 403
    assert pod.get(*request_of(store, gone, "vgt_wrong", tmp_path))[0] == 401
    assert "vaultr_gateway_token_expires_days" in pod.get(f"https://{HOST}:8443/metrics")[1]
