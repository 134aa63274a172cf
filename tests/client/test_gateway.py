"""The gateway returns to callers the values that they may read, and no value if in doubt."""

import itertools
import json
import re
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

import pytest

from tests.harness.client.world import URL, mail
from tests.harness.timing import until
from tests.harness.tls_sites import Authority
from vaultr.client.errors import ServerUnreachable, UsageError, VaultrError
from vaultr.client.gateway.app import Gateway
from vaultr.client.gateway.callers import Callers, CallersInvalid, add_caller
from vaultr.client.gateway.certificate import Certificate
from vaultr.client.gateway.server import Listen
from vaultr.client.gateway.source import Source
from vaultr.client.sdk.machine_session import MachineSession

LATER = datetime.now(UTC) + timedelta(days=30)
MAX_AGE = 600


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Site:
    """A gateway with a server in memory, and its callers."""

    def __init__(self, world, folder):
        self.world, self.clock, self.notes = world, Clock(), []
        self.callers_file = folder / "callers.json"
        self.owner = world.laptop
        self.owner.create_vault("prod")
        self.owner.add("login", *mail("db/main", "hunter2"), vault="prod")
        variables = {"variables": {"A": "1", "B": "two"}}
        self.owner.add("env_set", {"title": "web"}, variables, vault="prod")
        self.owner.add("login", *mail("Private", "other"), vault="Personal")
        rights = {"prod": "read", "Personal": "read"}
        token = self.owner.add_machine("gateway", rights, expires_at=LATER)[1]
        session = MachineSession(URL, token, transport=world.server.transport())
        self.source = Source(
            session, max_age_seconds=MAX_AGE, notify=self.notes.append, clock=self.clock
        )
        self.source.sync()
        self.token = add_caller(self.callers_file, "build", ["vaultr://prod/*"])
        self.gateway = Gateway(self.source, Callers(self.callers_file))

    def get(self, path, query="", *, token=None, method="GET"):
        """Return status and body, parsed if it is JSON."""
        sent = {"REQUEST_METHOD": method, "PATH_INFO": "/wrong", "QUERY_STRING": query}
        sent["REQUEST_URI"] = f"{path}?{query}" if query else path
        sent["HTTP_AUTHORIZATION"] = f"Bearer {self.token if token is None else token}"
        seen = []
        body = b"".join(self.gateway(sent, lambda status, headers: seen.append((status, headers))))
        ((status, headers),) = seen
        self.headers = dict(headers)
        is_json = self.headers["Content-Type"] == "application/json" and body
        return int(status[:3]), json.loads(body) if is_json else body.decode()

    def away(self):
        def lost(method, path):
            raise ServerUnreachable("away")

        self.world.server.before = lost


@pytest.fixture
def gateway(world, tmp_path):
    return Site(world, tmp_path)


def test_caller_reads_one_value_or_all_values(gateway):
    name = quote("db/main", safe="")

    assert gateway.get("/v1/secret", f"key=prod/{quote(name)}&property=password") == (
        HTTPStatus.OK,
        {"value": "hunter2"},
    )
    assert gateway.get("/v1/secret", "key=prod/web") == (
        HTTPStatus.OK,
        {"values": {"A": "1", "B": "two"}},
    )
    assert gateway.get("/v1/secret", "key=prod/web&property=")[1] == {
        "values": {"A": "1", "B": "two"}
    }
    assert gateway.get(f"/v1/prod/{name}/password") == (HTTPStatus.OK, "hunter2")
    assert gateway.headers["Cache-Control"] == "no-store"
    assert gateway.get("/v1/prod/web/A", method="HEAD") == (HTTPStatus.OK, "")


def test_caller_without_known_token_gets_401(gateway):
    for token in ("", "vgt_x", gateway.token[:-1]):
        assert gateway.get("/v1/prod/web/A", token=token)[0] == HTTPStatus.UNAUTHORIZED
    assert gateway.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path",
    ["/v1/Personal/Private/password", "/v1/Personal/None/password", "/v1/PROD/web/A"],
)
def test_reference_outside_the_patterns_gets_403(gateway, path):
    assert gateway.get(path)[0] == HTTPStatus.FORBIDDEN


def test_pattern_matches_only_whole_path_parts(gateway, tmp_path):
    patterns = ["vaultr://prod/web/A", "vaultr://prod/db%2Fmain"]
    gateway.token = add_caller(gateway.callers_file, "build", patterns)

    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.OK
    assert gateway.get("/v1/prod/web/B")[0] == HTTPStatus.FORBIDDEN
    assert gateway.get("/v1/secret", "key=prod/web")[0] == HTTPStatus.FORBIDDEN
    assert gateway.get("/v1/secret", "key=prod/db%252Fmain")[0] == HTTPStatus.OK


def test_404_only_after_sync_shows_that_item_is_gone(gateway):
    gateway.clock.now += 60
    gateway.owner.add("note", {"title": "late"}, {"text": "new"}, vault="prod")
    assert gateway.get("/v1/prod/late/text") == (HTTPStatus.OK, "new")

    gateway.owner.trash("late", vault="prod")
    gateway.clock.now += 60
    gateway.source.sync()

    assert gateway.get("/v1/prod/late/text")[0] == HTTPStatus.NOT_FOUND
    gateway.clock.now += 60
    gateway.away()
    status, problem = gateway.get("/v1/prod/late/text")
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert problem["age_seconds"] == 60


def test_lost_vault_and_missing_field_are_not_404(gateway):
    patterns = ["vaultr://prod/*", "vaultr://gone/*"]
    gateway.token = add_caller(gateway.callers_file, "build", patterns)

    assert gateway.get("/v1/gone/web/A")[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert gateway.get("/v1/prod/web/Z")[0] == HTTPStatus.UNPROCESSABLE_ENTITY


def test_renamed_item_is_found_by_its_new_title(gateway):
    assert gateway.get("/v1/prod/WEB/A")[0] == HTTPStatus.OK
    gateway.owner.edit("web", vault="prod", overview={"title": "site"})
    gateway.owner.add("note", {"title": "SITE"}, {"notes": "other"}, vault="prod")

    gateway.source.sync()

    assert gateway.get("/v1/prod/site/A")[1] == "1"
    assert gateway.get("/v1/prod/SITE/notes")[1] == "other"
    assert gateway.get("/v1/prod/Site/A")[0] == HTTPStatus.CONFLICT
    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.NOT_FOUND


def test_cached_values_are_served_until_the_maximum_age(gateway):
    gateway.away()
    gateway.clock.now += MAX_AGE
    gateway.source.sync()
    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.OK
    assert gateway.get("/readyz")[0] == HTTPStatus.OK

    gateway.clock.now += 1

    status, problem = gateway.get("/v1/prod/web/A")
    assert (status, problem["age_seconds"]) == (HTTPStatus.SERVICE_UNAVAILABLE, MAX_AGE + 1)
    assert gateway.get("/readyz")[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert "vaultr_gateway_ready 0" in gateway.get("/metrics")[1]
    assert gateway.get("/healthz")[0] == HTTPStatus.OK


def test_outage_is_reported_when_it_begins_and_ends(gateway):
    gateway.away()
    for _ in range(3):
        gateway.source.sync()
    gateway.world.server.before = None
    for _ in range(2):
        gateway.source.sync()

    assert [note.partition(":")[0] for note in gateway.notes] == [
        "The server is unreachable",
        "The copies are up to date again.",
    ]


def test_requests_for_missing_items_share_a_sync(gateway):
    gateway.clock.now += 60
    gateway.source._clock = lambda: gateway.clock.now + next(ticks)
    ticks, requested, go = itertools.count(step=0.001), [], threading.Event()

    def wait(_method, _path):
        requested.append(None)
        go.wait(60)

    gateway.world.server.before = wait
    gateway.world.server.requests.clear()

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(gateway.get, "/v1/prod/none/text") for _ in range(8)]
        until(lambda: requested and sum(each.running() for each in found) == 8)
        time.sleep(0.2)  # so that the others must wait too
        go.set()
        statuses = {each.result()[0] for each in found}

    assert statuses == {HTTPStatus.NOT_FOUND}
    vaults = len(gateway.world.server.vaults)
    assert vaults <= len(gateway.world.server.requests) <= 2 * vaults


def test_half_renewed_certificate_is_read_again_later(tmp_path):
    authority, used = Authority(), []
    assert authority.context(tmp_path, "one") is not None
    certificate = Certificate(tmp_path / "one.crt", tmp_path / "one.key")
    assert not certificate.renew(used.append)
    assert authority.context(tmp_path, "two") is not None
    (tmp_path / "two.key").rename(tmp_path / "one.key")

    for _ in range(2):
        with pytest.raises(VaultrError, match="cannot be read"):
            certificate.renew(used.append)
    (tmp_path / "two.crt").rename(tmp_path / "one.crt")

    assert certificate.renew(used.append)
    assert used == [certificate.context]
    assert not certificate.renew(used.append)


def test_deleted_machine_serves_nothing_after_its_next_sync(gateway):
    gateway.owner.remove_machine("gateway")

    gateway.source.sync()

    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert len(gateway.notes) == 1


def test_rolled_back_server_stops_serving_until_it_recovers(gateway):
    vaults = gateway.world.server.vaults
    before = {each: json.loads(json.dumps(vault)) for each, vault in vaults.items()}
    gateway.owner.add("note", {"title": "new"}, {"text": "x"}, vault="prod")
    gateway.source.sync()
    after = dict(vaults)
    vaults.update(before)

    gateway.source.sync()

    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.SERVICE_UNAVAILABLE
    vaults.update(after)
    gateway.source.sync()
    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.OK


@pytest.mark.parametrize(
    ("path", "query"),
    [("/v1/secret", ""), ("/v1/secret", "key=a/b&key=c/d"), ("/v1/secret", "key=a/b&other=1"),
     ("/v1/secret", "key=a/b" + "&x=1" * 8),
     ("/v1/prod/web", ""), ("/v1/prod/web/A", "x=1"), ("/", ""), ("//evil/v1/prod/web/A", "")],
)  # fmt: skip
def test_malformed_request_gets_400(gateway, path, query):
    assert gateway.get(path, query)[0] == HTTPStatus.BAD_REQUEST


def test_unsafe_method_gets_405(gateway):
    assert gateway.get("/v1/prod/web/A", method="POST")[0] == HTTPStatus.METHOD_NOT_ALLOWED


def test_metrics_count_responses_without_references(gateway):
    gateway.get("/v1/prod/web/A")
    gateway.get("/v1/prod/web/A", token="vgt_no")

    status, text = gateway.get("/metrics")

    assert status == HTTPStatus.OK
    assert 'vaultr_gateway_responses_total{caller="build",status="200"} 1' in text
    assert 'vaultr_gateway_responses_total{caller="-",status="401"} 1' in text
    assert "vaultr_gateway_data_age_seconds 0.000" in text
    assert "vaultr_gateway_ready 1" in text
    assert re.search(r"^vaultr_gateway_token_expires_days (29\.9|30\.0)", text, re.MULTILINE)
    assert "web" not in text


def test_callers_file_is_private_and_has_no_token(gateway):
    text = gateway.callers_file.read_text()

    assert stat.S_IMODE(gateway.callers_file.stat().st_mode) == 0o600
    assert gateway.token not in text
    old = gateway.token
    gateway.token = add_caller(gateway.callers_file, "build", ["vaultr://prod/*"])
    assert gateway.get("/v1/prod/web/A", token=old)[0] == HTTPStatus.UNAUTHORIZED
    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.OK


@pytest.mark.parametrize("text", ["", "[]", '{"callers": [{}]}', '{"callers": [{"name": 1}]}',
    '{"callers":[{"name":"a","token_sha256":"x","allow":[]}]}',
    '{"callers":[{"name":"a","token_sha256":"' + "0" * 64 + '","allow":["prod/*"]}]}'])  # fmt: skip
def test_malformed_callers_file_rejects_every_request(gateway, text):
    gateway.callers_file.write_text(text)

    with pytest.raises(CallersInvalid):
        Callers(gateway.callers_file)
    assert gateway.get("/v1/prod/web/A")[0] == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("pattern", ["prod/*", "vaultr://prod", "vaultr://a/b/c/d", "vaultr:///x"])
def test_invalid_pattern_is_rejected(gateway, pattern):
    with pytest.raises(UsageError):
        add_caller(gateway.callers_file, "other", [pattern])


@pytest.mark.parametrize("listen", ["0.0.0.0:8443", "192.0.2.1:80", "example.org:1", "[::]:1"])
def test_plain_http_is_rejected_except_on_loopback(listen):
    assert Listen.parse("127.0.0.1:8443", None, None).port == 8443

    with pytest.raises(UsageError, match="plain text"):
        Listen.parse(listen, None, None)
