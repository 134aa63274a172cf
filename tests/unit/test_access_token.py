"""The session id in an access token, even in a forged token."""

import json
from uuid import UUID

import pytest

from vaultr.client.transport.responses import session_of
from vaultr.protocol.encoding import b64

ACCOUNT = UUID(int=0xA)
SESSION = UUID("0190f5b2-8a4e-7c11-9d3e-2f6b1c0a9e77")
CLAIMS = {"sub": str(ACCOUNT), "sid": str(SESSION), "typ": "access", "epoch": 1}


def token(payload):
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"{b64(b'{}')}.{b64(text)}.{b64(b's' * 32)}"


def test_session_id_is_read_from_the_token():
    assert session_of(token(CLAIMS), ACCOUNT) == SESSION


def test_token_of_another_account_has_no_session():
    assert session_of(token(CLAIMS), UUID(int=0xB)) is None


@pytest.mark.parametrize(
    "sid",
    [
        *(None, 7, True, "", [], {}, "x", "..", "../logout-all", f"{SESSION}/", f"{SESSION}\n"),
        *(str(SESSION).upper(), SESSION.hex, f"{{{SESSION}}}", f"{SESSION}?x", "\ud800" * 36),
    ],
)
def test_non_canonical_session_id_is_ignored(sid):
    assert session_of(token(CLAIMS | {"sid": sid}), ACCOUNT) is None


@pytest.mark.parametrize("left_out", ["sub", "sid"])
def test_token_without_subject_or_session_has_no_session(left_out):
    claims = {name: value for name, value in CLAIMS.items() if name != left_out}

    assert session_of(token(claims), ACCOUNT) is None


@pytest.mark.parametrize(
    "odd",
    [
        *("opaque", ".", "..", "...", "a.b", "a.!.c", "a.YQ==.c", f"{token(CLAIMS)}.more"),
        *(token(b""), token(b"\xff"), token(b"[]"), token(b"[" * 3000), token(b"9" * 4000)),
        *(token(b'{"sid":1,"sid":2}'), token(b"NaN"), token(b'{"x":' * 600), "a" * 4096),
    ],
)
def test_malformed_token_has_no_session(odd):
    assert session_of(odd, ACCOUNT) is None
