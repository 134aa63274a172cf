"""Of which session an access token is, whatever somebody wrote into it."""

import json
from uuid import UUID

import pytest

from vaultr.client.transport.access_token import session_of
from vaultr.protocol.encoding import b64

ACCOUNT = UUID(int=0xA)
SESSION = UUID("0190f5b2-8a4e-7c11-9d3e-2f6b1c0a9e77")
CLAIMS = {"sub": str(ACCOUNT), "sid": str(SESSION), "typ": "access", "epoch": 1}


def token(payload):
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"{b64(b'{}')}.{b64(text)}.{b64(b's' * 32)}"


def test_a_token_tells_its_session():
    assert session_of(token(CLAIMS), ACCOUNT) == SESSION


def test_a_token_of_another_account_tells_none():
    assert session_of(token(CLAIMS), UUID(int=0xB)) is None


@pytest.mark.parametrize(
    "sid",
    [
        *(None, 7, True, "", [], {}, "x", "..", "../logout-all", f"{SESSION}/", f"{SESSION}\n"),
        *(str(SESSION).upper(), SESSION.hex, f"{{{SESSION}}}", f"{SESSION}?x", "\ud800" * 36),
    ],
)
def test_an_id_that_is_no_uuid_in_its_one_form_is_none(sid):
    assert session_of(token(CLAIMS | {"sid": sid}), ACCOUNT) is None


@pytest.mark.parametrize("left_out", ["sub", "sid"])
def test_a_token_without_owner_or_session_tells_none(left_out):
    kept = {name: value for name, value in CLAIMS.items() if name != left_out}

    assert session_of(token(kept), ACCOUNT) is None


@pytest.mark.parametrize(
    "odd",
    [
        *("opaque", ".", "..", "...", "a.b", "a.!.c", "a.YQ==.c", f"{token(CLAIMS)}.more"),
        *(token(b""), token(b"\xff"), token(b"[]"), token(b"[" * 3000), token(b"9" * 4000)),
        *(token(b'{"sid":1,"sid":2}'), token(b"NaN"), token(b'{"x":' * 600), "a" * 4096),
    ],
)
def test_what_is_no_token_of_claims_tells_none(odd):
    assert session_of(odd, ACCOUNT) is None
