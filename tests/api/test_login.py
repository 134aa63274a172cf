from uuid import UUID, uuid4

import pytest

from tests import factories
from tests.harness.metric_values import hashes
from tests.harness.threads import at_once
from vaultr.auth.models import Account, Failures, KnownDevice, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

pytestmark = pytest.mark.both_databases
LOGIN, PRELOGIN = "/api/v1/auth/login", "/api/v1/auth/prelogin"


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


@pytest.fixture
def ann(app):
    with app.app_context():
        return factories.account("ann@example.org")


def test_correct_key_starts_a_session(app, client, ann):
    response = client.post(LOGIN, json=factories.login("ann@example.org"))

    assert response.status_code == 200
    assert response.json.keys() == {
        "access_token", "expires_in", "refresh_token", "account", "key_set",
    }  # fmt: skip
    assert response.json["expires_in"] == 600
    assert response.json["account"]["id"] == str(ann.id)
    assert response.json["account"]["email"] == "ann@example.org"
    bearer = {"Authorization": f"Bearer {response.json['access_token']}"}
    assert client.get("/api/v1/auth/me", headers=bearer).status_code == 200


def test_login_accepts_any_spelling_of_address(client, ann):
    body = factories.login("ann@example.org") | {"email": " Ann@EXAMPLE.org"}

    assert client.post(LOGIN, json=body).status_code == 200


def test_wrong_key_and_unknown_address_get_the_same_response(client, ann):
    wrong = client.post(LOGIN, json=factories.login("ann@example.org", key=b"w" * 32))
    unknown = client.post(LOGIN, json=factories.login("nobody@example.org"))

    assert wrong.status_code == unknown.status_code == 401
    differing = {"request_id"}
    assert {k: v for k, v in wrong.json.items() if k not in differing} == {
        k: v for k, v in unknown.json.items() if k not in differing
    }
    assert wrong.json["type"] == "urn:vaultr:problem:credentials-invalid"
    assert {name for name, _ in wrong.headers} == {name for name, _ in unknown.headers}


def test_session_stores_device_hash_name_and_coarse_network(app, client, ann):
    device_id = uuid4()

    client.post(LOGIN, json=factories.login(device_id=device_id))

    (session,) = rows(app, Session)
    assert (session.device_name, session.network) == ("laptop", "127.0.0.0/24")
    assert device_id.bytes not in session.device_hash
    (known,) = rows(app, KnownDevice)
    assert known.device_hash == session.device_hash


@pytest.mark.parametrize(
    "part",
    [
        {"totp": "123456", "recovery_code": "abcdef-123456"},
        {"device": {"id": "x", "name": "laptop"}},
        {"device": {"id": str(uuid4()), "name": ""}},
        {"device": {"id": str(uuid4()), "name": "n" * 65}},
        {"device": None}, {"auth_key": b64(b"k" * 33)}, {"email": "ann"}, {"password": "x"},
    ],
)  # fmt: skip
@pytest.mark.matrix(6)
def test_invalid_body_does_not_count_as_login_attempt(app, client, ann, part):
    before = hashes()
    for _ in range(30):
        assert client.post(LOGIN, json=factories.login() | part).status_code == 400

    assert hashes() == before
    assert client.post(LOGIN, json=factories.login()).status_code == 200


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org"])
def test_parallel_wrong_keys_are_hashed_up_to_the_limit(app, ann, email):
    before = hashes()

    def guess(_):
        body = factories.login(email, key=b"w" * 32)
        return app.test_client().post(LOGIN, json=body).status_code

    statuses = at_once(guess, 8) + at_once(guess, 8)

    assert sorted(statuses) == [401] * 5 + [429] * 11
    assert hashes() - before == 5


def test_attempt_over_limit_returns_retry_after(client, ann):
    for _ in range(5):
        client.post(LOGIN, json=factories.login(key=b"w" * 32))

    response = client.post(LOGIN, json=factories.login())

    assert response.status_code == 429
    assert response.json["type"] == "urn:vaultr:problem:rate-limited"
    assert 0 < int(response.headers["Retry-After"]) <= 1800
    assert response.headers["RateLimit-Limit"] == "5"


def test_successful_logins_are_not_counted_as_attempts(client, ann, count):
    tries = count(7, many=30)
    for _ in range(4):
        client.post(LOGIN, json=factories.login(key=b"w" * 32))

    statuses = [client.post(LOGIN, json=factories.login()).status_code for _ in range(tries)]

    assert statuses == [200] * tries


def test_failures_elsewhere_do_not_lock_out_known_device(client, ann):
    mine = uuid4()
    client.post(LOGIN, json=factories.login(device_id=mine))
    for _ in range(6):
        client.post(LOGIN, json=factories.login(key=b"w" * 32))

    assert client.post(LOGIN, json=factories.login()).status_code == 429
    assert client.post(LOGIN, json=factories.login(device_id=mine)).status_code == 200


def test_known_device_has_separate_attempt_limit(client, ann):
    mine = uuid4()
    client.post(LOGIN, json=factories.login(device_id=mine))

    wrong = factories.login(device_id=mine, key=b"w" * 32)
    statuses = [client.post(LOGIN, json=wrong).status_code for _ in range(6)]

    assert statuses == [401] * 5 + [429]
    assert client.post(LOGIN, json=factories.login()).status_code == 200


def test_device_known_to_one_account_is_unknown_to_another(app, client, ann):
    with app.app_context():
        factories.account("bob@example.org")
    mine = uuid4()
    client.post(LOGIN, json=factories.login(device_id=mine))

    for _ in range(5):
        client.post(LOGIN, json=factories.login("bob@example.org", key=b"w" * 32))

    body = factories.login("bob@example.org", device_id=mine)
    assert client.post(LOGIN, json=body).status_code == 429


def test_client_address_has_twenty_attempts_across_accounts(client):
    statuses = [
        client.post(LOGIN, json=factories.login(f"{number}@example.org")).status_code
        for number in range(21)
    ]

    assert statuses == [401] * 20 + [429]


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org"])
def test_hundred_consecutive_failures_lock_login(app, client, ann, email):
    client.post(LOGIN, json=factories.login(email, key=b"w" * 32))
    with app.app_context(), transaction() as work:
        work.query(Failures).one().failures = 99
    client.post(LOGIN, json=factories.login(email, key=b"w" * 32))
    before = hashes()

    response = client.post(LOGIN, json=factories.login(email))

    assert response.status_code == 429
    assert response.json["type"] == "urn:vaultr:problem:locked"
    assert 890 <= int(response.headers["Retry-After"]) <= 901
    assert hashes() == before
    assert factories.events(app)[-2]["typ"] == "auth.lock"


def test_successful_login_resets_failure_count(app, client, ann):
    client.post(LOGIN, json=factories.login(key=b"w" * 32))

    client.post(LOGIN, json=factories.login())

    (counter,) = rows(app, Failures)
    assert (counter.failures, counter.locks, counter.recent.count(",")) == (0, 0, 1)


def test_successful_login_without_failures_stores_no_counter(app, client, ann):
    client.post(LOGIN, json=factories.login())

    assert rows(app, Failures) == []


def test_outdated_verifier_is_renewed_at_next_login(app, client, ann, full_hash_cost):
    old = "$argon2id$v=19$m=8,t=1,p=1$"
    with app.app_context(), transaction() as work:
        account = work.get(Account, ann.id)
        account.verifier = factories.cheap_verifier("ann@example.org")
        assert account.verifier.startswith(old)

    assert client.post(LOGIN, json=factories.login()).status_code == 200

    (account,) = rows(app, Account)
    assert account.verifier.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert client.post(LOGIN, json=factories.login()).status_code == 200


def test_verifier_with_missing_pepper_matches_no_key(app, client, ann):
    with app.app_context(), transaction() as work:
        work.get(Account, ann.id).pepper_id = "retired"

    assert client.post(LOGIN, json=factories.login()).status_code == 401


def test_logins_are_recorded_with_their_outcome(app, client, ann):
    client.post(LOGIN, json=factories.login())
    client.post(LOGIN, json=factories.login(key=b"w" * 32))
    client.post(LOGIN, json=factories.login("nobody@example.org"))

    events = [(e["typ"], e["sub"], e["out"]) for e in factories.events(app) if "login" in e["typ"]]
    assert events == [
        ("auth.login.ok", str(ann.id), "ok"),
        ("auth.login.deny", str(ann.id), "deny:wrong-key"),
        ("auth.login.deny", "anon", "deny:unknown-address"),
    ]


def test_prelogin_returns_kdf_inputs_of_account(client, ann):
    shown = client.post(PRELOGIN, json={"email": "ANN@example.org"}).json

    assert shown == {
        "account_id": str(ann.id),
        "auth_scheme": "vp1",
        "kdf": {"alg": "argon2id", "m": 65536, "t": 3, "p": 4},
        "salt": b64(ann.salt),
    }


def test_prelogin_returns_stable_decoy_for_unknown_address(client, ann):
    first = client.post(PRELOGIN, json={"email": "nobody@example.org"}).json
    again = client.post(PRELOGIN, json={"email": "NOBODY@example.org "}).json
    another = client.post(PRELOGIN, json={"email": "somebody@example.org"}).json

    assert first == again
    assert first.keys() == client.post(PRELOGIN, json={"email": "ann@example.org"}).json.keys()
    assert first["account_id"] != another["account_id"]
    assert first["salt"] != another["salt"]
    assert UUID(first["account_id"]).version == 4
