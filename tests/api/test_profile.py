from uuid import UUID

import pytest

from tests import factories
from tests.harness.threads import at_once
from vaultr.auth.models import KeySet
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

PROFILE = "/api/v1/auth/profile"


def put(client, revision, *, over=None, sealed=None):
    headers = {} if over is None else {"If-Match": over}
    body = {"revision": revision, "sealed": b64(sealed or factories.sealed(500))}
    return client.put(PROFILE, json=body, headers=headers)


def test_me_shows_the_account_with_its_key_set(app, as_ann):
    shown = as_ann.get("/api/v1/auth/me")

    assert shown.status_code == 200
    assert shown.json["account"]["id"] == str(as_ann.account_id)
    assert shown.json["account"]["email"] == "ann@example.org"
    assert shown.json["factors"] == []
    assert shown.json["limits"]["vaults"] == 20
    with app.app_context(), transaction() as work:
        stored = work.get(KeySet, as_ann.account_id)
        assert shown.json["key_set"] == {
            "account_key": {"epoch": 1, "sealed": b64(stored.account_key)},
            "identity": {
                "x25519": {
                    "public": b64(stored.x25519_public),
                    "sealed": b64(stored.x25519_sealed),
                },
                "ed25519": {
                    "public": b64(stored.ed25519_public),
                    "sealed": b64(stored.ed25519_sealed),
                },
            },
            "profile": {"revision": 1, "sealed": b64(stored.profile)},
        }


def test_put_over_current_revision_replaces_profile(as_ann):
    sealed = factories.sealed(900)

    response = put(as_ann, 2, over='"1"', sealed=sealed)

    assert (response.status_code, response.json) == (200, {"revision": 2})
    assert response.headers["ETag"] == '"2"'
    shown = as_ann.get("/api/v1/auth/me").json["key_set"]["profile"]
    assert shown == {"revision": 2, "sealed": b64(sealed)}


def test_profile_of_another_account_is_unchanged(as_ann, as_bob):
    before = as_bob.get("/api/v1/auth/me").json["key_set"]

    put(as_ann, 2, over='"1"')

    assert as_bob.get("/api/v1/auth/me").json["key_set"] == before


@pytest.mark.parametrize(
    ("revision", "over"), [(2, '"1"'), (4, '"3"'), (4, '"2"'), (2, '"2"'), (3, '"1"')]
)
def test_stale_or_skipped_revision_returns_412_with_stored_revision(as_ann, revision, over):
    put(as_ann, 2, over='"1"')

    response = put(as_ann, revision, over=over)

    assert response.status_code == 412
    assert response.json["type"] == "urn:vaultr:problem:precondition-failed"
    assert (response.json["revision"], response.headers["ETag"]) == (2, '"2"')


def test_profile_put_without_if_match_returns_428(as_ann):
    response = put(as_ann, 2)

    assert response.status_code == 428
    assert response.json["type"] == "urn:vaultr:problem:precondition-required"


@pytest.mark.parametrize("over", ["*", 'W/"1"', '"1", "2"', "1"])
def test_malformed_if_match_returns_400(as_ann, over):
    assert put(as_ann, 2, over=over).status_code == 400


@pytest.mark.parametrize("text", ["", "AQID", b64(b"\x02" + factories.sealed()[1:]), "plain text"])
def test_unsealed_value_is_rejected_before_precondition(as_ann, text):
    response = as_ann.put(PROFILE, json={"revision": 2, "sealed": text})

    assert response.status_code == 422
    assert response.json["type"] == "urn:vaultr:problem:not-sealed"
    assert response.json["errors"][0]["pointer"] == "/sealed"


def test_one_of_parallel_writers_over_one_revision_succeeds(app, as_ann):
    def write(_):
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = as_ann.environ_base["HTTP_AUTHORIZATION"]
        return put(client, 2, over='"1"').status_code

    statuses = at_once(write, 6)

    assert sorted(statuses) == [200] + [412] * 5


def test_profile_write_is_recorded_with_its_revisions(app, as_ann):
    put(as_ann, 2, over='"1"')

    (event,) = [one for one in factories.events(app) if one["typ"] == "profile.write"]
    assert UUID(event["sub"]) == as_ann.account_id
    assert (event["obj"]["from"], event["obj"]["to"]) == (1, 2)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "me"), ("PUT", "profile"), ("POST", "logout")]
)
def test_anonymous_profile_request_returns_401(client, method, path):
    response = client.open(f"/api/v1/auth/{path}", method=method)

    assert response.status_code == 401
    assert response.json["type"] == "urn:vaultr:problem:unauthenticated"
