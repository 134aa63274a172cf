"""What a machine may read and write, and how it authenticates."""

import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from prometheus_client import generate_latest

from tests import factories
from tests.harness.app_routes import routes
from tests.harness.machine_access import MACHINES, SELF, Machine, edited, grant, later
from tests.harness.sql_recorder import collected
from tests.harness.vault_writer import VAULTS, Writer
from vaultr import clock
from vaultr.api.contract import contract_of
from vaultr.auth.admin import actions
from vaultr.auth.admin.actions import Operator
from vaultr.security import machine_tokens

ANN = "ann@example.org"
TOKEN_SENT = "You sent a machine token, which must never leave the client. Replace it now."


@pytest.fixture
def vault(app, as_ann):
    writer = Writer(as_ann).create()
    writer.put()
    return writer


def slug(response):
    return response.status_code, response.json["type"].removeprefix("urn:vaultr:problem:")


@pytest.mark.both_databases
def test_reader_can_read_only_granted_vaults(as_ann, vault):
    hidden = Writer(as_ann).create()
    machine = Machine.created(as_ann, grant(vault)).client()
    (item_id,) = vault.state.items

    (listed,) = machine.get(VAULTS).json["vaults"]
    assert (listed["id"], listed["role"]) == (str(vault.id), "read")
    assert machine.get(vault.path).json == listed
    assert machine.get(f"{vault.path}/items/{item_id}").json["detail"]
    assert len(machine.get(f"{vault.path}/items").json["items"]) == 1
    assert len(machine.get(f"{vault.path}/items/{item_id}/versions").json["versions"]) == 1
    assert machine.get(f"{vault.path}/items/{item_id}/versions/1").status_code == 200
    assert machine.get(f"{vault.path}/rotation").json["rotating"] is False
    for path in (hidden.path, f"{VAULTS}/{uuid4()}"):
        for part in ("", "/items", "/sync", "/rotation", f"/items/{item_id}"):
            assert slug(machine.get(path + part)) == (404, "vault-not-found")


def test_sync_returns_wraps_of_the_machine(as_ann, vault):
    provided = grant(vault)
    machine = Machine.created(as_ann, provided).client()

    synced = machine.get(f"{vault.path}/sync")
    again = machine.get(
        f"{vault.path}/sync?since={vault.state.n}",
        headers={"If-None-Match": synced.headers["ETag"]},
    )

    assert synced.json["vault"]["keys"] == provided["keys"]
    assert synced.json["vault"]["role"] == "read"
    assert again.status_code == 304


@pytest.mark.both_databases
def test_machine_is_author_of_items_it_writes(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault, "write"))
    writer = machine.writer(vault)
    writer.full()

    item_id = writer.put()
    writer.move("trash", item_id)
    writer.move("restore", item_id)
    writer.done(writer.batch_request(("put", uuid4()), ("trash", item_id)))
    writer.move("remove", item_id)

    entries = as_ann.get(f"{vault.path}/sync?since=1").json["entries"]
    assert {one["author_id"] for one in entries} == {machine.id}
    vault.sync()
    events = [one for one in factories.events(app) if one["act"] == machine.id]
    assert {one["sub"] for one in events} == {str(as_ann.account_id)}
    assert {one["typ"] for one in events} == {"item.read", "item.write"}
    assert {one["sid"] for one in events} == {None}


def test_write_by_reader_returns_403(as_ann, vault):
    writer = Machine.created(as_ann, grant(vault)).writer(vault)
    item_id = next(iter(vault.state.items))
    batch = writer.batch_request(("put", uuid4()))

    for request in (
        writer.put_request(),
        writer.put_request(item_id),
        writer.move_request("trash", item_id),
        batch,
    ):
        assert slug(writer.ask(request)) == (403, "forbidden")
    dry_run = f"{batch.path}?dry_run=true"
    assert slug(writer.client.post(dry_run, json=batch.body)) == (403, "forbidden")
    assert as_ann.get(vault.path).json["revision"] == vault.state.n


def test_write_to_vault_without_grant_returns_404(as_ann, as_bob, vault):
    theirs = Writer(as_bob).create()
    hidden = Writer(as_ann).create()
    machine = Machine.created(as_ann, grant(vault, "write"))

    for other in (theirs, hidden):
        writer = machine.writer(other)
        assert slug(writer.ask(writer.put_request())) == (404, "vault-not-found")


def test_machine_is_rejected_by_routes_not_declared_for_machines(app, as_ann, vault):
    """Routes that are not declared for machines reject them, including future routes."""
    machine = Machine.created(as_ann, grant(vault, "write")).client()
    allowed, answers = set(), {}
    for _, method, path, view in routes(app):
        contract = contract_of(view)
        if contract is None or getattr(view, "public", False):
            continue
        way = f"{method} {re.sub('[0-9a-f-]{36}', ':id', path)}"
        if contract.machines:
            allowed.add(way)
            continue
        sent = {} if contract.body is None else {"json": {}}
        answers[way] = machine.open(path, method=method, **sent).status_code

    assert {way for way, status in answers.items() if status not in (400, 403)} == set()
    assert list(answers.values()).count(403) > 15
    items = "/api/v1/vaults/:id/items"
    assert allowed == {
        "GET /api/v1/machines/self",
        "GET /api/v1/vaults",
        "GET /api/v1/vaults/:id",
        "GET /api/v1/vaults/:id/rotation",
        "GET /api/v1/vaults/:id/sync",
        "POST /api/v1/vaults/:id/changes",
        f"GET {items}",
        f"GET {items}/:id",
        f"GET {items}/:id/versions",
        f"GET {items}/:id/versions/1",
        f"PUT {items}/:id",
        *(f"POST {items}/:id/{op}" for op in ("trash", "restore", "remove")),
    }


def test_writer_cannot_change_the_vault_itself(as_ann, vault):
    writer = Machine.created(as_ann, grant(vault, "write")).writer(vault)

    for request in (
        writer.rename_request("mine"),
        writer.repair_request(),
        writer.rotation_request(),
        writer.finish_request(),
    ):
        assert slug(writer.ask(request)) == (403, "forbidden")
    assert slug(writer.client.delete(vault.path)) == (403, "forbidden")
    assert slug(writer.client.post(VAULTS, json=Writer(as_ann).creation())) == (403, "forbidden")


def wrong_proofs(machine, other):
    head, _, key = machine.credential.rpartition("_")
    flipped = "B" if key[0] == "A" else "A"
    yield f"{head}_{flipped}{key[1:]}"
    yield other.credential.replace(other.id, machine.id)
    yield machine.credential.replace(machine.id, str(uuid4()))
    yield machine.credential[:-1]
    yield machine.credential + "A"
    yield machine.credential.upper()
    yield machine.credential.replace(machine.id, machine.id.upper())
    yield machine.credential.replace("-", "", 1)
    yield f"vma_{machine.id}"
    yield f"vma_{machine.id}_"
    yield "vma_"
    yield "vma__"


def test_wrong_credentials_are_rejected_identically(app, as_ann, as_bob, vault):
    machine = Machine.created(as_ann, grant(vault))
    other = Machine.created(as_bob)
    bodies = set()

    for credential in wrong_proofs(machine, other):
        for path in (vault.path, SELF, VAULTS):
            headers = {"Authorization": f"Bearer {credential}"}
            answer = app.test_client().get(path, headers=headers)
            assert slug(answer) == (401, "unauthenticated"), credential
            bodies.add(json.dumps(answer.json | {"request_id": ""}))
    assert len(bodies) == 1
    assert machine.client().get(vault.path).status_code == 200


@pytest.mark.parametrize("path", [SELF, VAULTS, "/api/v1/openapi.json", "/api/v1/auth/me"])
def test_machine_token_sent_to_server_is_rejected_and_never_stored(
    app, as_ann, vault, path, caplog, capfd
):
    machine = Machine.created(as_ann, grant(vault))
    for token in (machine.token, "vmt_x"):
        for header in (f"Bearer {token}", f"bearer  {token}", token, f"Token {token}"):
            answer = app.test_client().get(path, headers={"Authorization": header})
            assert slug(answer) == (401, "unauthenticated")
            assert answer.json["detail"] == TOKEN_SENT
    for answer in (
        as_ann.get(f"{MACHINES}/{machine.token}"),
        as_ann.get(f"{VAULTS}?cursor={machine.token}"),
        as_ann.post(MACHINES, json={"name": machine.token}),
    ):
        assert answer.status_code in (400, 404)
        assert machine.token not in answer.text

    secret = machine.token[-43:]
    out, metrics = "".join(capfd.readouterr()), generate_latest().decode()
    assert secret not in caplog.text + out + metrics + json.dumps(factories.events(app))


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("Bearer vmt_x", True),
        ("Bearer a.b.c, Bearer vmt_x", True),
        ("Bearer a.b.vmt_x", False),
        ("Bearer vma_0a1b2c3d-0000-4000-8000-00000000000f_vmt_x", False),
        ("Bearer a.b.x-vmt_x", False),
    ],
)
def test_only_machine_token_headers_are_recognised(header, sent):
    assert machine_tokens.is_token(header) is sent


@pytest.mark.both_databases
def test_machine_of_a_locked_account_is_rejected(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault)).client()
    assert machine.get(vault.path).status_code == 200
    operator = Operator("op")
    with app.app_context():
        actions.lock(ANN, operator)

    assert [machine.get(path).status_code for path in (vault.path, SELF)] == [401, 401]
    with app.app_context():
        actions.unlock(ANN, operator)
    assert [machine.get(path).status_code for path in (vault.path, SELF)] == [200, 200]


def test_expired_machine_is_rejected(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault, "write"), expires_at=later(hours=1))
    client, writer = machine.client(), machine.writer(vault)
    assert client.get(vault.path).status_code == 200

    with time_machine.travel(clock.now() + timedelta(hours=2)):
        assert [client.get(path).status_code for path in (vault.path, SELF)] == [401, 401]
        assert writer.ask(writer.put_request()).status_code == 401


def test_machine_is_rejected_outside_its_networks(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault), networks=["192.0.2.0/24", "2001:db8::/32"])

    inside = ["192.0.2.77", "::ffff:192.0.2.77", "2001:db8::1"]
    for address in inside:
        assert machine.client(address).get(vault.path).status_code == 200
    for address in ("127.0.0.1", "2001:db9::1", "nonsense"):
        for path in (vault.path, SELF):
            assert slug(machine.client(address).get(path)) == (403, "forbidden")


@pytest.mark.both_databases
def test_changed_networks_apply_to_the_next_request(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault), networks=["127.0.0.0/8"])
    client = machine.client()
    assert client.get(vault.path).status_code == 200
    shown = as_ann.get(machine.path).json

    moved = edited(shown, grant(vault), networks=["192.0.2.0/24"])
    assert as_ann.put(machine.path, json=moved).status_code == 200
    assert slug(client.get(vault.path)) == (403, "forbidden")
    back = edited(shown, grant(vault), networks=None)
    assert as_ann.put(machine.path, json=back).status_code == 200
    assert client.get(vault.path).status_code == 200


def test_read_runs_no_separate_statement_to_authenticate_machine(app, as_ann, vault):
    """The only statement of the read, which the recorder sees only on SQLite, checks it."""
    machine = Machine.created(as_ann, grant(vault)).client()
    item = f"{vault.path}/items/{next(iter(vault.state.items))}"
    assert machine.get(item).status_code == 200

    with collected(app) as statements:
        assert machine.get(item).status_code == 200

    assert [one for one in statements if "auth_hash" in one] == []


@pytest.mark.both_databases
def test_last_use_is_stored_to_the_hour(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    client, noon = machine.client(), clock.now().replace(minute=10, second=0, microsecond=0)

    def used(moment):
        with time_machine.travel(moment, tick=False):
            assert client.get(vault.path).status_code == 200
        return as_ann.get(machine.path).json["last_used_at"]

    first, second, third = (used(noon + timedelta(minutes=more)) for more in (0, 40, 60))

    assert first == second == clock.text(noon.replace(minute=0))
    assert third == clock.text(noon.replace(minute=0) + timedelta(hours=1))


def test_self_route_rejects_user_and_second_credential(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    both = {"Authorization": f"Bearer {machine.credential}, Bearer {machine.credential}"}
    with_cookie = machine.client()
    with_cookie.set_cookie("__Host-vaultr_access", as_ann.session.access_token, secure=True)

    assert slug(as_ann.get(SELF)) == (404, "not-found")
    assert slug(app.test_client().get(SELF, headers=both)) == (400, "bad-request")
    assert slug(with_cookie.get(SELF, base_url="https://localhost")) == (400, "bad-request")


def test_events_of_one_machine_are_listed(as_ann, vault):
    machines = [Machine.created(as_ann, grant(vault)) for _ in range(2)]
    item = f"{vault.path}/items/{next(iter(vault.state.items))}"
    for machine in machines:
        assert machine.client().get(item).status_code == 200

    listed = as_ann.get(f"/api/v1/audit/events?machine={machines[0].id}").json["events"]

    bodies = [json.loads(one["body"]) for one in listed]
    assert [(one["typ"], one["act"]) for one in bodies] == [("item.read", machines[0].id)]
    assert bodies[0]["sub"] == str(as_ann.account_id)


def test_idempotency_key_of_machine_is_separate_from_owners(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault, "write"))
    writer, headers = machine.writer(vault), {"Idempotency-Key": "once"}
    request = writer.batch_request(("put", uuid4()))

    answers = [
        client.post(request.path, json=request.body, headers=headers)
        for client in (writer.client, writer.client, as_ann)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert replayed == [None, "true", None]


def test_rate_limit_counts_each_machine_separately(app, as_ann, vault, set_to):
    set_to(app, limit_reads="3/60")
    first, second = (Machine.created(as_ann, grant(vault)).client() for _ in range(2))

    codes = [first.get(vault.path).status_code for _ in range(4)]

    assert codes == [200, 200, 200, 429]
    assert second.get(vault.path).status_code == 200
