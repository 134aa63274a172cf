"""Malicious tokens authenticate nobody, and cause no access to files, network or database."""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from contextlib import contextmanager
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import factories
from tests.harness import app_fixtures
from tests.harness.access_tokens import CLAIMS, claims, key_of, part
from tests.harness.sql_recorder import collected

ME, REFRESH = "/api/v1/auth/me", "/api/v1/auth/refresh"
TOUCHING = ("open", "os.listdir", "socket.connect", "socket.getaddrinfo", "subprocess.Popen")

_touched = threading.local()


def _note(event, arguments):
    """Record what this thread accesses; an audit hook cannot be removed."""
    seen = getattr(_touched, "seen", None)
    if seen is not None and event.startswith(TOUCHING):
        seen.append((event, repr(arguments)[:80]))


sys.addaudithook(_note)


@contextmanager
def touched(app):
    """Collect the accessed files, addresses and statements."""
    seen = _touched.seen = []
    try:
        with collected(app) as ran:
            yield seen
    finally:
        _touched.seen = None
        seen += [("statement", text) for text in ran]


def token(header, payload=None, key=None, digest=hashlib.sha256):
    """Sign any header, by default with the server's own key."""
    body = f"{part(header)}.{part(payload or claims())}"
    mac = hmac.new(key_of("JWT_SECRET") if key is None else key, body.encode(), digest).digest()
    return f"{body}.{part(mac)}"


@pytest.fixture
def anonymous(sqlite_app):
    """An anonymous client that has already sent one request."""
    app_fixtures.empty(sqlite_app)
    client = sqlite_app.test_client()
    client.get(ME, headers={"Authorization": "Bearer a.b.c"})
    return client


def rejected(client, bearer):
    """Send a token to a protected route; return the response and what was accessed."""
    with touched(client.application) as seen:
        response = client.get(ME, headers={"Authorization": f"Bearer {bearer}"})
    return response.status_code, response.json["type"].rpartition(":")[2], seen


NOTHING = (401, "unauthenticated", [])


def test_recorder_detects_statement_and_file_access(sqlite_app, anonymous):
    with sqlite_app.app_context():
        good = factories.session().access_token

    with touched(sqlite_app) as seen:
        assert anonymous.get(ME, headers={"Authorization": f"Bearer {good}"}).status_code == 200
        with open(__file__):
            pass

    assert {kind for kind, _ in seen} == {"statement", "open"}


def test_token_signed_by_these_tests_passes_signature_check(anonymous):
    """With this signature only the session is missing, which is looked up in the database."""
    status, slug, seen = rejected(anonymous, token({"alg": "HS256", "kid": "test"}))

    assert (status, slug) == (401, "unauthenticated")
    assert [kind for kind, _ in seen] == ["statement"]


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../../../etc/passwd", "/dev/zero", "/proc/self/environ", "file:///etc/passwd",
        "http://127.0.0.1:1/key", "https://example.org/jwks.json", "\\\\127.0.0.1\\share",
        "test' OR '1'='1", "test\" OR 1=1 --", "x' UNION SELECT 'key' --", "'; DROP TABLE a;",
        "test\u0000", "test ", " test", "TEST", "tes", "test,other", "test|id", "$(id)", "`id`",
        "{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "%s%s%n", "\u202etest", "\ud800", "a" * 900,
        "default", "", "__class__", "by_id", "0", 0, 1.0, None, True, [], {}, ["test"],
        {"test": "test"},
    ],
    ids=lambda kid: repr(kid)[:24],
)  # fmt: skip
def test_malicious_key_id_returns_401_without_any_access(anonymous, kid):
    header = {"alg": "HS256", "kid": kid}
    keys = (None, b"", b"\x00" * 32, b"test", hashlib.sha256(b"").digest())

    assert [rejected(anonymous, token(header, key=key)) for key in keys] == [NOTHING] * 5


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "cty", "enc"])
def test_key_in_token_header_is_ignored(anonymous, name):
    key = b"k" * 32
    values = {
        "jku": "http://127.0.0.1:1/keys", "x5u": "file:///etc/passwd", "crit": ["exp", "b64"],
        "jwk": {"kty": "oct", "k": part(key)}, "x5c": ["MIIB"], "b64": False, "zip": "DEF",
        "cty": "JWT", "enc": "A128GCM",
    }  # fmt: skip

    header = {"alg": "HS256", "kid": "test", name: values[name]}
    assert rejected(anonymous, token(header, key=key)) == NOTHING
    del header["kid"]
    assert rejected(anonymous, token(header, key=key)) == NOTHING


@pytest.mark.parametrize(
    "algorithm",
    [
        "none", "None", "NONE", "nOnE", "", None, "HS1", "hs256", "HS384", "HS512", "RS256",
        "RS512", "ES256", "ES256K", "PS256", "EdDSA", "A256KW", "dir", "RSA-OAEP",
        "HS256 ", ["HS256"], 256, True, {"alg": "HS256"}, "HS256\u0000",
    ],
    ids=repr,
)  # fmt: skip
def test_only_one_signature_algorithm_is_accepted(anonymous, algorithm):
    header = {"alg": algorithm, "kid": "test"}
    signed = [
        token(header),
        token(header, digest=hashlib.sha384),
        token(header, digest=hashlib.sha512),
        token(header).rpartition(".")[0] + ".",
    ]

    assert [rejected(anonymous, one) for one in signed] == [NOTHING] * 4


def test_public_key_is_rejected_as_hmac_key(anonymous):
    """This attack works on servers that also accept RS256; here only the one secret verifies."""
    public = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    key = public.to_bytes(256)

    assert rejected(anonymous, token({"alg": "HS256", "kid": "test"}, key=key)) == NOTHING
    assert rejected(anonymous, token({"alg": "RS256", "kid": "test"}, key=key)) == NOTHING


@pytest.mark.parametrize("missing", CLAIMS)
def test_token_without_a_claim_returns_401(anonymous, missing):
    payload = claims()
    del payload[missing]

    assert rejected(anonymous, token({"alg": "HS256", "kid": "test"}, payload)) == NOTHING


def test_expired_token_returns_401(anonymous):
    now = int(time.time())
    payload = claims(iat=now - 601, exp=now - 1)

    assert rejected(anonymous, token({"alg": "HS256", "kid": "test"}, payload)) == NOTHING


def test_modified_or_truncated_token_is_anonymous(sqlite_app, anonymous):
    with sqlite_app.app_context():
        good = factories.session().access_token
    cuts = [good[:length] for length in range(0, len(good), 7)]
    for place in range(0, len(good), 5):
        other = "A" if good[place] != "A" else "B"
        cuts.append(good[:place] + other + good[place + 1 :])
    whole = [good + more for more in ("A", ".", "=", "!", "%0a", ".A", "." + good)]

    answers = {one: rejected(anonymous, one)[:2] for one in cuts + whole}

    assert {one: reported for one, reported in answers.items() if reported != NOTHING[:2]} == {}


def test_recombined_token_parts_are_rejected(sqlite_app, anonymous):
    with sqlite_app.app_context():
        one, other = (
            factories.session(factories.owner(email)).access_token.split(".")
            for email in ("ann@example.org", "bob@example.org")
        )

    for mixed in ((one[0], other[1], one[2]), (one[0], one[1], other[2])):
        assert rejected(anonymous, ".".join(mixed)) == NOTHING


def test_differently_encoded_signature_is_rejected(sqlite_app, anonymous):
    """Base64url has one form: the spare bits of its last character must be zero."""
    with sqlite_app.app_context():
        good = factories.session().access_token
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twins = [good[:-1] + signs[signs.index(good[-1]) ^ spare] for spare in (1, 2, 3)]
    mac = base64.urlsafe_b64decode(good.rpartition(".")[2] + "=")
    assert all(base64.urlsafe_b64decode(one.rpartition(".")[2] + "=") == mac for one in twins)

    assert [rejected(anonymous, one)[:2] for one in twins] == [NOTHING[:2]] * 3


@pytest.mark.parametrize("kind", ["access", "csrf", "id", "cut", "longer", "padded", "upper"])
def test_only_a_refresh_token_refreshes_a_session(app, kind):
    with app.app_context():
        session = factories.session()
    client, good = app.test_client(), session.refresh_token
    other = {
        "access": session.access_token,
        "csrf": str(uuid4()),
        "id": str(session.id),
        "cut": good[:-1],
        "longer": good + "A",
        "padded": good + "=",
        "upper": good.upper(),
    }[kind]

    rejected_, never = (
        client.post(REFRESH, json={"refresh_token": one}) for one in (other, "A" * 43)
    )

    assert rejected_.status_code == never.status_code == 401
    assert json.loads(rejected_.data) | {"request_id": 0} == json.loads(never.data) | {
        "request_id": 0
    }
    assert client.post(REFRESH, json={"refresh_token": good}).status_code == 200


def test_refresh_token_is_rejected_as_access_token(app, client):
    with app.app_context():
        session = factories.session()

    bearer = {"Authorization": f"Bearer {session.refresh_token}"}

    assert client.get(ME, headers=bearer).status_code == 401
