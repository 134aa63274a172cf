"""Owners create, list, change and delete machines."""

from uuid import uuid4

import pytest
import time_machine

from tests import factories
from tests.harness.machine_access import MACHINES, SELF, Machine, body, edited, grant, later
from tests.harness.outbox import emails
from tests.harness.vault_rows import rows
from tests.harness.vault_writer import Writer
from vaultr import clock
from vaultr.machines import changes, service
from vaultr.machines.models import MACHINES as MACHINE_ROWS
from vaultr.protocol.encoding import b64
from vaultr.vault.models import VAULT_KEYS

KEY = {"auth_key": b64(b"k" * 32)}


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def error_of(response):
    """Return status, slug and pointers of an error."""
    slug = response.json["type"].removeprefix("urn:vaultr:problem:")
    return response.status_code, slug, [one["pointer"] for one in response.json.get("errors", ())]


@pytest.mark.both_databases
def test_created_machine_is_shown_with_its_wraps(as_ann, vault):
    requested = body(grant(vault, "write"), networks=["10.0.0.0/8", "192.0.2.7"]) | KEY

    made = as_ann.post(MACHINES, json=requested)

    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    shown = as_ann.get(f"{MACHINES}/{requested['id']}")
    assert shown.json == made.json == as_ann.get(MACHINES).json["machines"][0]
    assert shown.headers["ETag"] == '"1"'
    assert made.json == {
        "id": requested["id"],
        "name": "ci",
        "revision": 1,
        "created_at": made.json["created_at"],
        "expires_at": requested["expires_at"],
        "networks": ["10.0.0.0/8", "192.0.2.7/32"],
        "last_used_at": None,
        "sealed_kek": requested["sealed_kek"],
        "vaults": requested["vaults"],
    }


def test_edit_without_key_keeps_the_token(app, as_ann, vault):
    other = Writer(as_ann).create()
    machine = Machine.created(as_ann, grant(vault))
    shown = as_ann.get(machine.path).json

    new = edited(shown, grant(other, "write"), name="deploy")
    response = as_ann.put(machine.path, json=new)

    assert (response.status_code, response.json["revision"]) == (200, 2)
    assert response.json["sealed_kek"] == shown["sealed_kek"]
    seen = machine.client().get(SELF).json
    assert [(one["vault_id"], one["rights"]) for one in seen["vaults"]] == [
        (str(other.id), "write")
    ]
    assert machine.client().get(vault.path).status_code == 404


def test_new_key_ends_the_old_token_immediately(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    before = machine.client()
    assert before.get(vault.path).status_code == 200
    machine.renew(b"n" * 32)
    keys = {"auth_key": b64(machine.auth_key), "sealed_kek": b64(factories.sealed(32))}

    response = as_ann.put(machine.path, json=body(grant(vault), **keys) | {"id": machine.id})

    assert response.status_code == 200
    assert before.get(vault.path).status_code == 401
    assert before.get(SELF).status_code == 401
    assert machine.client().get(vault.path).status_code == 200


def test_stale_if_match_changes_nothing(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    shown = as_ann.get(machine.path).json
    new = edited(shown, grant(vault), name="other")
    assert as_ann.put(machine.path, json=new, headers={"If-Match": '"1"'}).status_code == 200

    response = as_ann.put(machine.path, json=new, headers={"If-Match": '"1"'})

    assert error_of(response)[:2] == (412, "precondition-failed")
    assert (response.json["revision"], response.headers["ETag"]) == (2, '"2"')
    assert as_ann.get(machine.path).json["revision"] == 2


def test_deleted_machine_leaves_no_row(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    client = machine.client()
    assert client.get(vault.path).status_code == 200

    assert as_ann.delete(machine.path).status_code == 204

    assert client.get(vault.path).status_code == 401
    assert error_of(as_ann.get(machine.path))[:2] == (404, "not-found")
    assert error_of(as_ann.delete(machine.path))[:2] == (404, "not-found")
    assert rows(app, MACHINE_ROWS) == []
    assert {row.role for row in rows(app, VAULT_KEYS)} == {"owner"}


def test_repeated_creation_with_key_returns_first_response(as_ann, vault):
    requested, headers = body(grant(vault)) | KEY, {"Idempotency-Key": "once"}

    first, second = (as_ann.post(MACHINES, json=requested, headers=headers) for _ in range(2))

    assert (first.status_code, second.json) == (201, first.json)
    assert error_of(as_ann.post(MACHINES, json=requested))[:2] == (409, "conflict")


def test_machines_are_listed_page_by_page(app, as_ann, vault, set_to):
    ids = sorted(Machine.created(as_ann, grant(vault)).id for _ in range(3))

    first = as_ann.get(f"{MACHINES}?limit=2").json
    second = as_ann.get(f"{MACHINES}?limit=2&cursor={first['next_cursor']}").json
    set_to(app, page_bytes=300)
    short = as_ann.get(MACHINES).json

    assert [one["id"] for one in first["machines"] + second["machines"]] == ids
    assert second["next_cursor"] is None
    assert [one["id"] for one in short["machines"]] == ids[:1]
    assert short["next_cursor"] is not None


def test_quota_limits_the_number_of_machines(app, as_ann, vault, set_to):
    set_to(app, quota_machines=1)
    Machine.created(as_ann, grant(vault))

    assert error_of(as_ann.post(MACHINES, json=body() | KEY))[:2] == (409, "quota-exceeded")


def test_machine_of_another_account_returns_404(as_ann, as_bob, vault):
    machine = Machine.created(as_ann, grant(vault))
    new = edited(as_ann.get(machine.path).json)

    for answer in (
        as_bob.get(machine.path),
        as_bob.put(machine.path, json=new),
        as_bob.delete(machine.path),
    ):
        assert error_of(answer)[:2] == (404, "not-found")
    assert as_bob.get(MACHINES).json["machines"] == []
    assert error_of(as_bob.post(MACHINES, json=body(grant(vault)) | KEY)) == (
        404,
        "vault-not-found",
        ["/vaults/0/vault_id"],
    )


def test_taken_ids_are_rejected(client, as_ann, as_bob, vault):
    """Ids of accounts and the ids that prelogin shows for unknown addresses are both taken."""
    machine = Machine.created(as_ann, grant(vault))
    decoy = client.post("/api/v1/auth/prelogin", json={"email": "no@example.org"}).json

    for taken in (machine.id, str(as_ann.account_id), str(as_bob.account_id), decoy["account_id"]):
        answer = as_bob.post(MACHINES, json=body() | KEY | {"id": taken})

        assert error_of(answer)[:2] == (409, "conflict"), taken


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"expires_at": later(days=-1)}, (422, "unprocessable", ["/expires_at"])),
        ({"expires_at": None}, (400, "bad-request", ["/expires_at"])),
        ({"name": ""}, (400, "bad-request", ["/name"])),
        ({"name": "x" * 65}, (400, "bad-request", ["/name"])),
        ({"networks": ["10.0.0.1/8"]}, (400, "bad-request", ["/networks/0"])),
        ({"networks": ["everywhere"]}, (400, "bad-request", ["/networks/0"])),
        ({"networks": ["fe80::1%a b/128"]}, (400, "bad-request", ["/networks/0"])),
        ({"sealed_kek": b64(b"plain")}, (422, "not-sealed", ["/sealed_kek"])),
        ({"sealed_kek": b64(bytes(1025))}, (400, "bad-request", ["/sealed_kek"])),
        ({"auth_key": b64(bytes(31))}, (400, "bad-request", ["/auth_key"])),
        ({"token": "vmt_"}, (400, "bad-request", ["/token"])),
    ],
)
def test_invalid_body_error_points_to_its_field(as_ann, change, expected):
    assert error_of(as_ann.post(MACHINES, json=body() | KEY | change)) == expected


def test_invalid_grant_error_points_to_its_position(as_ann, vault):
    vault.put()
    vault.rotate()
    double = grant(vault)
    double["keys"].append(double["keys"][0])
    unknown = grant(vault) | {"vault_id": str(uuid4())}
    plain = grant(vault)
    plain["keys"][1]["sealed_key"] = b64(b"plain")
    keys = ["/vaults/0/keys"]
    cases = {
        "current": ([grant(vault, generations=[1])], (409, "conflict", keys)),
        "used": ([grant(vault, generations=[2])], (409, "conflict", keys)),
        "above": ([grant(vault, generations=[1, 2, 3])], (422, "unprocessable", keys)),
        "twice": ([double], (422, "unprocessable", keys)),
        "again": ([grant(vault)] * 2, (422, "unprocessable", ["/vaults/1/vault_id"])),
        "unknown": ([grant(vault), unknown], (404, "vault-not-found", ["/vaults/1/vault_id"])),
        "plain": ([plain], (422, "not-sealed", ["/vaults/0/keys/1/sealed_key"])),
    }

    answers = {
        name: error_of(as_ann.post(MACHINES, json=body(*grants) | KEY))
        for name, (grants, _) in cases.items()
    }

    assert answers == {name: expected for name, (_, expected) in cases.items()}


def test_grant_may_omit_generation_without_contents(as_ann, vault):
    vault.rotate()  # the vault is empty, and its overview moves

    assert as_ann.post(MACHINES, json=body(grant(vault, generations=[2])) | KEY).status_code == 201


def test_edit_with_incomplete_key_or_other_id_is_rejected(as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    shown = as_ann.get(machine.path).json
    alone = edited(shown) | KEY
    other = edited(shown) | {"id": str(uuid4())}

    assert error_of(as_ann.put(machine.path, json=alone))[0] == 400
    assert error_of(as_ann.put(machine.path, json=other)) == (422, "unprocessable", ["/id"])


def test_machine_changes_without_recent_step_up_return_403(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    new = edited(as_ann.get(machine.path).json)
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    for answer in (
        as_ann.post(MACHINES, json=body() | KEY),
        as_ann.put(machine.path, json=new),
        as_ann.delete(machine.path),
    ):
        assert error_of(answer)[:2] == (403, "step-up-required")


def test_machine_changes_are_recorded_without_names(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault), name="secret-project")
    as_ann.put(machine.path, json=edited(as_ann.get(machine.path).json, name="secret-other"))
    as_ann.delete(machine.path)

    found = [event for event in factories.events(app) if event["typ"].startswith("machine.")]
    assert [one["typ"] for one in found] == ["machine.create", "machine.change", "machine.delete"]
    assert {one["obj"]["id"] for one in found} == {machine.id}
    assert found[0]["obj"]["read"] == [str(vault.id)]
    assert found[1]["obj"]["new_token"] == "no"
    assert "secret" not in str(found)


@pytest.mark.both_databases
def test_owner_gets_one_email_a_week_before_expiry(app, as_ann, vault):
    machine = Machine.created(as_ann, name="nightly http://evil.example", expires_at=later(days=30))
    Machine.created(as_ann, expires_at=later(days=3))

    def mails(days):
        with time_machine.travel(clock.now() + days), app.app_context():
            service.send_notices()
        return [one for one in emails(app, "ann@example.org") if one.kind == "machine-expires"]

    assert mails(changes.NOTICE * 3) == []
    assert [len(mails(changes.NOTICE * 3.5)) for _ in range(2)] == [1, 1]
    (mail,) = mails(changes.NOTICE * 4)
    assert "nightly" in mail.text
    assert "http://evil" not in mail.text
    as_ann.put(machine.path, json=edited(as_ann.get(machine.path).json, expires_at=later(days=60)))
    assert len(mails(changes.NOTICE * 8)) == 2
