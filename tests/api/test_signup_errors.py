import pytest

from tests import factories
from vaultr.auth.models import WaitingSignup
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

SIGNUP = "/api/v1/auth/signup"


def nothing_waits(app):
    with app.app_context(), transaction() as work:
        return work.query(WaitingSignup).count() == 0


@pytest.mark.parametrize(
    "email",
    [
        "", "ann", "@example.org", "ann@", "ann@b@c", "an n@example.org", '"ann"@example.org',
        "ann@exam ple.org", "ann\n@example.org", "a,b@example.org", "<ann@example.org>",
        "a" * 310 + "@example.org", 5, None,
    ],
)  # fmt: skip
def test_invalid_email_address_is_rejected(app, client, email):
    response = client.post(SIGNUP, json=factories.signup() | {"email": email})

    assert response.status_code == 400
    assert nothing_waits(app)


@pytest.mark.parametrize(
    "email", ["o'brien+tag@sub.example.test", "e@пример.example", "a@localhost"]
)
def test_unusual_valid_email_address_is_accepted(client, email):
    assert client.post(SIGNUP, json=factories.signup(email)).status_code == 202


@pytest.mark.parametrize(
    "kdf",
    [
        {"m": 65_535}, {"m": 1_048_577}, {"t": 2}, {"t": 17}, {"p": 0}, {"p": 17},
        {"alg": "argon2i"}, {"alg": "ARGON2ID"},
    ],
)  # fmt: skip
def test_kdf_cost_out_of_bounds_is_rejected(app, client, kdf):
    body = factories.signup()

    response = client.post(SIGNUP, json=body | {"kdf": body["kdf"] | kdf})

    assert response.status_code == 422
    assert response.json["type"] == "urn:vaultr:problem:kdf-refused"
    assert response.json["errors"][0]["pointer"] == "/kdf"
    assert nothing_waits(app)


@pytest.mark.parametrize("salt", [b"", b"s" * 31, b"s" * 33, b"s" * 32])
def test_weak_salt_is_rejected(client, salt):
    response = client.post(SIGNUP, json=factories.signup(salt=b64(salt)))

    assert response.status_code == 422
    assert response.json["type"] == "urn:vaultr:problem:kdf-refused"


@pytest.mark.parametrize(
    ("part", "pointer"),
    [
        ({"account_key": {"epoch": 1, "sealed": ""}}, "/account_key/sealed"),
        ({"account_key": {"epoch": 1, "sealed": "not=canonical"}}, "/account_key/sealed"),
        ({"profile": {"revision": 1, "sealed": b64(b"\x01" * 145)}}, "/profile/sealed"),
    ],
)
def test_unsealed_value_is_rejected(app, client, part, pointer):
    response = client.post(SIGNUP, json=factories.signup(**part))

    assert response.status_code == 422
    assert response.json["type"] == "urn:vaultr:problem:not-sealed"
    assert response.json["errors"][0]["pointer"] == pointer
    assert nothing_waits(app)


@pytest.mark.parametrize(
    "part",
    [
        {"auth_scheme": "vp2"}, {"auth_key": b64(b"k" * 31)}, {"account_id": "A" * 8},
        {"account_key": {"epoch": 2, "sealed": b64(factories.sealed())}},
        {"account_key": {"epoch": True, "sealed": b64(factories.sealed())}},
        {"account_key": {"epoch": 1, "sealed": b64(factories.sealed(2000))}},
        {"profile": {"revision": 2, "sealed": b64(factories.sealed())}},
        {"identity": {}}, {"surprise": 1}, {"kdf": {"alg": "argon2id", "m": "65536"}},
    ],
)  # fmt: skip
def test_body_that_violates_schema_is_rejected(client, part):
    assert client.post(SIGNUP, json=factories.signup(**part)).status_code == 400


def test_signups_are_limited_by_client_address(app, client, set_to):
    set_to(app, limit_signup="5/900")

    statuses = [client.post(SIGNUP, json={}).status_code for _ in range(6)]

    assert statuses == [400] * 5 + [429]
