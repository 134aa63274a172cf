"""Key changes and deletions include machines, also in parallel."""

import json
import uuid

import pytest
import sqlalchemy as sa

from tests.harness import account_recovery
from tests.harness.app_fixtures import signed_in
from tests.harness.concurrent_writers import slug
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.machine_access import MACHINES, SELF, Machine, body, edited, grant
from tests.harness.outbox import emails
from tests.harness.threads import at_once
from tests.harness.vault_rows import rows
from tests.harness.vault_writer import Writer
from vaultr.database.session import db, transaction
from vaultr.machines.models import MACHINES as MACHINE_ROWS
from vaultr.ops.doctor import services
from vaultr.protocol.encoding import b64, unb64
from vaultr.vault.models import VAULT_KEYS, VAULTS

ANN = "ann@example.org"
CREDENTIALS, ACCOUNT = "/api/v1/auth/credentials", "/api/v1/auth/account"
NEW = b"n" * 32


@pytest.fixture
def vault(app, as_ann):
    writer = Writer(as_ann).create()
    writer.put()
    return writer


def held(app, machine):
    """Return the generations of keys and the rights of a machine, by vault."""
    found = {}
    for row in rows(app, VAULT_KEYS):
        if str(row.holder_id) == machine.id:
            found.setdefault(row.vault_id, []).append((row.generation, row.rights))
    return found


@pytest.mark.both_databases
def test_rotation_wraps_new_keys_for_machines(app, as_ann, vault):
    reader = Machine.created(as_ann, grant(vault))
    writer = Machine.created(as_ann, grant(vault, "write"))

    vault.rotate([reader.id, writer.id])

    assert held(app, reader) == {vault.id: [(1, "read"), (2, "read")]}
    assert held(app, writer) == {vault.id: [(1, "write"), (2, "write")]}
    assert reader.client().get(vault.path).json["role"] == "read"
    other = writer.writer(vault)
    assert other.send(other.put_request()).status_code == 201


@pytest.mark.parametrize("named", ["none", "expired", "unknown"])
def test_rotation_must_list_exactly_the_holders(app, as_ann, vault, named):
    machine = Machine.created(as_ann, grant(vault))
    with app.app_context(), transaction() as work:
        work.execute(sa.update(MACHINE_ROWS).values(expires_at=MACHINE_ROWS.c.created_at))
    listed = {"none": [], "expired": [machine.id], "unknown": [machine.id, uuid.uuid4()]}[named]

    answer = vault.ask(vault.rotation_request(listed))

    if named == "expired":
        assert answer.status_code == 200
    else:
        assert slug(answer) == "conflict"
        assert [one["pointer"] for one in answer.json["errors"]] == ["/machines"]


def test_edit_during_rotation_needs_the_new_generation(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    shown = as_ann.get(machine.path).json
    old = grant(vault)
    vault.done(vault.rotation_request([machine.id]))

    late = as_ann.put(machine.path, json=edited(shown, old))
    right = as_ann.put(machine.path, json=edited(shown, grant(vault)))

    assert (slug(late), right.status_code) == ("conflict", 200)
    assert machine.client().get(vault.path).json["generation"] == 2


def test_machine_without_current_keys_has_no_access(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    with app.app_context(), transaction() as work:
        work.execute(sa.update(VAULTS).values(generation=2))

    assert machine.client().get(vault.path).status_code == 404


@pytest.mark.both_databases
def test_new_account_key_rewraps_machines_and_keeps_tokens(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    client = machine.client()
    assert client.get(vault.path).status_code == 200
    rewrap = rewrapped(app, as_ann.account_id)
    without = new_keys(NEW) | {"rewrap": rewrap | {"machines": []}}

    rejected = as_ann.put(CREDENTIALS, json=without)
    done = as_ann.put(CREDENTIALS, json=new_keys(NEW) | {"rewrap": rewrap})

    assert [one["pointer"] for one in rejected.json["errors"]] == ["/rewrap/machines"]
    assert (slug(rejected), done.status_code) == ("conflict", 204)
    (row,) = rows(app, MACHINE_ROWS)
    assert (row.revision, row.sealed_kek) == (2, unb64(rewrap["machines"][0]["sealed_kek"]))
    assert client.get(vault.path).status_code == 200


def test_recovery_returns_and_rewraps_machine_keys(app, as_ann, vault, time_machine):
    machine = Machine.created(as_ann, grant(vault))
    sealed = as_ann.get(machine.path).json["sealed_kek"]
    account_id, token = account_recovery.begun(app)
    account_recovery.after_the_wait(time_machine)
    client = app.test_client()

    started = client.post(
        account_recovery.START, json=account_recovery.proof(token, account_id)
    ).json
    body = account_recovery.completion(app, token, account_id)
    done = client.post(account_recovery.COMPLETE, json=body)

    assert started["machines"] == [{"id": machine.id, "sealed_kek": sealed}]
    assert done.status_code == 204
    assert "machines with access: 1" in emails(app, ANN)[-1].text
    assert machine.client().get(vault.path).status_code == 200


def test_deleted_vault_is_removed_from_its_machines(app, as_ann, vault):
    other = Writer(as_ann).create()
    machine = Machine.created(as_ann, grant(vault), grant(other, "write"))

    assert as_ann.delete(vault.path).status_code == 204

    shown = machine.client().get(SELF).json["vaults"]
    assert [one["vault_id"] for one in shown] == [str(other.id)]
    assert as_ann.get(machine.path).json["vaults"][0]["vault_id"] == str(other.id)


def uuids(app):
    """Return the table and column of every UUID in the database, by its value."""
    found = {}
    with app.app_context(), transaction() as work:
        for table in db.metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, sa.Uuid | sa.Text | sa.String):
                    for value in work.scalars(sa.select(column)):
                        found.setdefault(str(value), set()).add(f"{table.name}.{column.name}")
    return found


@pytest.mark.both_databases
def test_deleted_account_leaves_ids_only_in_audit_log(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault, "write"))
    writer = machine.writer(vault)
    request = writer.batch_request(("put", uuid.uuid4()))
    headers = {"Idempotency-Key": "once"}
    assert writer.client.post(request.path, json=request.body, headers=headers).status_code == 200
    session_id = as_ann.session.id

    assert as_ann.delete(ACCOUNT).status_code == 204

    left = uuids(app)
    assert left[str(as_ann.account_id)] <= {"audit_event.sub", "audit_event.act"}
    assert left[machine.id] == {"audit_event.act"}
    ids = [vault.id, *vault.state.items, session_id]
    assert [left.get(str(one)) for one in ids] == [None] * len(ids)
    assert machine.client().get(SELF).status_code == 401


def test_operator_commands_list_machines_and_count_expired_ones(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault), name="secret")
    Machine.created(as_ann)
    with app.app_context(), transaction() as work:
        expired = MACHINE_ROWS.c.id == uuid.UUID(machine.id)
        work.execute(
            sa.update(MACHINE_ROWS).where(expired).values(expires_at=MACHINE_ROWS.c.created_at)
        )
    run = app.test_cli_runner().invoke

    shown = run(args=["accounts", "show", ANN, "--json"]).output
    lines = run(args=["accounts", "show", ANN]).output
    with app.app_context():
        (found,) = services.check_machines()

    assert machine.id in {one["id"] for one in json.loads(shown)["machines"]}
    assert f"machine        {machine.id}  expires 20" in lines
    assert "secret" not in shown + lines
    assert (found.level, found.says) == ("warning", "2, of which 1 expired")


def test_machine_created_during_rotation_has_current_keys(app, as_ann, vault, count):
    """Whichever comes first, a machine with access always has the current keys."""
    twin = signed_in(app, ANN)
    for _ in range(count(2, many=200)):
        keys = {"auth_key": b64(b"k" * 32)}
        holders = [one["id"] for one in as_ann.get(MACHINES).json["machines"]]
        requested = body(grant(vault)) | keys
        request = vault.rotation_request(holders)

        created, begun = at_once(
            lambda n, a=requested, r=request: (
                twin.post(MACHINES, json=a) if n == 0 else vault.ask(r)
            ),
            2,
        )

        assert sorted([created.status_code == 201, begun.status_code == 200]) == [False, True]
        assert slug(begun if created.status_code == 201 else created) == "conflict"
        if begun.status_code == 200:
            vault.state = request.batch.state
        for machine in as_ann.get(MACHINES).json["machines"]:
            assert machine["vaults"][0]["keys"][-1]["generation"] == vault.generation
            assert as_ann.delete(f"{MACHINES}/{machine['id']}").status_code == 204


def test_machine_created_during_account_key_change_is_rewrapped_or_rejected(
    app, as_ann, vault, set_to, count
):
    set_to(app, limit_hashes="1000/60")
    epoch = 1
    for _ in range(count(1, many=50)):
        owner, rewrap = signed_in(app, ANN), rewrapped(app, as_ann.account_id)
        requested = body(grant(vault)) | {"auth_key": b64(b"k" * 32)}
        keys = new_keys(NEW, epoch=epoch + 1, revision=epoch + 1) | {"rewrap": rewrap}

        created, changed = at_once(
            lambda n, a=requested, k=keys, o=owner: (
                o.post(MACHINES, json=a) if n == 0 else signed_in(app, ANN).put(CREDENTIALS, json=k)
            ),
            2,
        )

        codes = created.status_code, changed.status_code
        assert codes in {(201, 409), (401, 204)}
        epoch += codes == (401, 204)
        if created.status_code == 201:
            assert owner.delete(f"{MACHINES}/{requested['id']}").status_code == 204


def test_machine_cannot_write_after_its_deletion(app, as_ann, vault, count):
    twin = signed_in(app, ANN)
    for _ in range(count(1, many=20)):
        machine = Machine.created(as_ann, grant(vault, "write"))
        writer = machine.writer(vault)

        def write(number, writer=writer, machine=machine):
            if number:
                return twin.delete(machine.path).status_code
            return [writer.send(writer.put_request()).status_code for _ in range(8)]

        codes, deleted = at_once(write, 2)

        assert deleted == 204
        assert codes == sorted(codes)
        assert set(codes) <= {201, 401}
        vault.sync()
