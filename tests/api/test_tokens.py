"""Access tokens: one algorithm, every claim, keys by id; no other token authenticates."""

import time
from uuid import uuid4

import jwt
import pytest

from tests.harness.access_tokens import CLAIMS, claims, key_of, part
from tests.harness.app_fixtures import KEYS, built, environ_for
from vaultr.security import access_tokens
from vaultr.settings import loader

ME = "/api/v1/auth/me"


def signed(payload, *, key=None, algorithm="HS256", **headers):
    known = {"kid": "test"} | headers
    return jwt.encode(
        payload,
        key_of("JWT_SECRET") if key is None else key,
        algorithm,
        headers={name: value for name, value in known.items() if value is not None},
    )


@pytest.fixture
def here(sqlite_app):
    with sqlite_app.app_context():
        yield


def test_signed_token_has_every_claim_and_verifies(here):
    account_id, session_id = uuid4(), uuid4()

    token = access_tokens.sign(account_id, session_id, 7)

    read = access_tokens.read(token)
    assert (read.account_id, read.session_id, read.epoch) == (account_id, session_id, 7)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "kid": "test", "typ": "JWT"}
    key, ours = key_of("JWT_SECRET"), {"audience": "vaultr-api", "issuer": "http://localhost"}
    reported = jwt.decode(token, key, algorithms=["HS256"], **ours)
    assert reported.keys() == set(CLAIMS)
    assert reported["exp"] - reported["iat"] == 600
    assert reported["sub"] == str(account_id)


def test_standard_token_is_accepted(here):
    assert access_tokens.read(signed(claims())) is not None


@pytest.mark.parametrize("missing", CLAIMS)
def test_token_without_required_claim_is_rejected(here, missing):
    payload = claims()
    del payload[missing]

    assert access_tokens.read(signed(payload)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "http://elsewhere"},
        {"iss": "http://localhost/"},
        {"aud": "another-api"},
        {"aud": ["vaultr-api", "another-api"]},
        {"typ": "refresh"},
        {"typ": None},
        {"sub": 4711},
        {"sub": "ann@example.org"},
        {"sub": "0A1B2C3D-0000-4000-8000-00000000000F"},
        {"sid": 4711},
        {"sid": None},
        {"sid": "x"},
        {"epoch": "1"},
        {"epoch": True},
        {"epoch": 1.5},
        {"epoch": -1},
        {"epoch": 2**63},
        {"jti": None},
        {"jti": 7},
        {"iat": str(int(time.time()))},
        {"iat": None},
        {"exp": str(int(time.time()) + 600)},
        {"exp": time.time() + 600.5},
        {"exp": None},
        {"exp": 1e999},
        {"exp": int(time.time()) + 3600},
        {"exp": 10**400},
        {"nbf": int(time.time()) + 3600},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_token_with_invalid_claim_is_rejected(here, wrong):
    assert access_tokens.read(signed(claims(**wrong))) is None


def test_token_is_rejected_from_the_second_it_expires(here):
    now = int(time.time())

    assert access_tokens.read(signed(claims(iat=now - 601, exp=now - 1))) is None
    assert access_tokens.read(signed(claims(iat=now - 590, exp=now + 10))) is not None


def test_cached_token_still_expires(here, monkeypatch):
    token = signed(claims())
    assert access_tokens.read(token) is not None

    then = time.time() + 601
    monkeypatch.setattr(access_tokens.time, "time", lambda: then)

    assert access_tokens.read(token) is None


def test_token_issued_a_few_seconds_ahead_is_accepted(here):
    now = int(time.time())

    assert access_tokens.read(signed(claims(iat=now + 5))) is not None
    assert access_tokens.read(signed(claims(iat=now + 60))) is None


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: signed(claims(), key="", algorithm="none"), id="none"),
        pytest.param(
            lambda: f"{part({'alg': 'None', 'kid': 'test'})}.{part(claims())}.", id="None"
        ),
        pytest.param(lambda: signed(claims(), algorithm="HS512"), id="HS512"),
        pytest.param(lambda: signed(claims(), algorithm="HS384"), id="HS384"),
        pytest.param(lambda: signed(claims(), kid=None), id="no kid"),
        pytest.param(lambda: signed(claims(), kid="other"), id="unknown kid"),
        pytest.param(lambda: signed(claims(), kid=""), id="empty kid"),
        pytest.param(lambda: signed(claims(), key=b"k" * 32), id="another key"),
        pytest.param(lambda: signed(claims(), key=key_of("PEPPER")), id="key of another purpose"),
    ],
)
@pytest.mark.filterwarnings("ignore:The HMAC key is 32 bytes")
def test_token_with_other_signature_is_rejected(here, token):
    assert access_tokens.read(token()) is None


def with_header(header):
    body = f"{part(header)}.{part(claims())}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{body}.{part(mac.sign(body.encode(), key_of('JWT_SECRET')))}"


def test_manually_built_token_is_accepted(here):
    assert access_tokens.read(with_header({"alg": "HS256", "kid": "test"})) is not None


@pytest.mark.parametrize("kid", [7, None, ["test"], {"test": 1}, True, "a" * 500], ids=repr)
def test_key_id_of_wrong_type_is_rejected(here, kid):
    assert access_tokens.read(with_header({"alg": "HS256", "kid": kid})) is None


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "a.b.c", "x", " ", "null", "é.é.é"),
        part(b"[" * 1400) + ".e30.AAAA",
        part(b'{"alg":"HS256","kid":"test","x":' + b"[" * 1300) + ".e30.AAAA",
        part(b"\xff\xfe") + ".e30.AAAA",
        part([]) + ".e30.AAAA",
        part({"alg": "HS256", "kid": "test"}) + "." + part([]) + ".AAAA",
    ],
    ids=lambda token: token[:20],
)
def test_malformed_token_is_rejected(here, token):
    assert access_tokens.read(token) is None


def test_huge_token_is_rejected_without_parsing(here):
    assert access_tokens.read(signed(claims(more="x" * 3000))) is None
    assert access_tokens.read("a.b." + "c" * 10_000_000) is None


def test_first_key_signs_and_all_keys_verify(tmp_path):
    old, new = KEYS["JWT_SECRET"], loader.generate_keys("new")["JWT_SECRET"]
    both = built(environ_for(tmp_path, JWT_SECRET=f"{new},{old}"))
    only_new = built(environ_for(tmp_path, JWT_SECRET=new))
    by_old = signed(claims())

    with both.app_context():
        by_new = access_tokens.sign(uuid4(), uuid4(), 1)
        assert jwt.get_unverified_header(by_new)["kid"] == "new"
        assert access_tokens.read(by_old) is not None
        assert access_tokens.read(by_new) is not None
    with only_new.app_context():
        assert access_tokens.read(by_new) is not None
        assert access_tokens.read(by_old) is None


def test_two_apps_in_process_keep_keys_and_issuers_separate(tmp_path, here):
    other = built(environ_for(tmp_path, BASE_URL="http://127.0.0.1:3000"))

    with other.app_context():
        foreign = access_tokens.sign(uuid4(), uuid4(), 1)

    assert access_tokens.read(foreign) is None
    assert access_tokens.read(access_tokens.sign(uuid4(), uuid4(), 1)) is not None


def test_extension_accepts_token_that_never_expires(here):
    """This is why every claim is checked here; if this test fails, the extension has improved."""
    payload = claims()
    del payload["exp"], payload["jti"]

    assert access_tokens.decode_token(signed(payload))["sub"] == payload["sub"]


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Token abc", "bearer a.b.c"),
        "Bearer " + "x" * 7000,
    ],
    ids=lambda header: header[:20],
)
def test_request_without_valid_token_is_anonymous(client, header):
    response = client.get(ME, headers={"Authorization": header})

    assert response.status_code == 401
    assert response.json["type"] == "urn:vaultr:problem:unauthenticated"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_signed_token_without_session_returns_401(client, app):
    with app.app_context():
        token = access_tokens.sign(uuid4(), uuid4(), 1)

    assert client.get(ME, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_bearer_scheme_is_case_insensitive(as_ann):
    token = as_ann.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")

    assert as_ann.get(ME, headers={"Authorization": f"bEARER  {token} "}).status_code == 200
