"""The SDK with a server that sends single odd responses: one clear error, no crash."""

import pytest

from tests.harness.client.server_attacks import answering
from tests.harness.client.world import mail
from vaultr.client.errors import AnswerInvalid, IntegrityError, StateMismatch
from vaultr.protocol.encoding import b64


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize(
    "token", ["", "a b", "a\r\nX-Evil: 1", "\x00", "\u00fc", "\ud800", 7, None]
)
def test_token_invalid_in_headers_is_rejected(world, name, token):
    answering(world, "POST", "/auth/login", lambda body: body | {name: token})

    with pytest.raises(AnswerInvalid, match=name):
        world.second()


@pytest.mark.parametrize("cursor", ["a\r\nX: y", "\x00", "", "\ud800", " ", 5, "x" * 1001])
def test_cursor_invalid_in_urls_is_rejected(world, cursor):
    answering(world, "GET", "/vaults", lambda body: body | {"next_cursor": cursor})

    with pytest.raises(AnswerInvalid, match="next_cursor"):
        world.laptop.sync()


def test_cursor_cannot_change_the_request_path(world):
    requested = []

    def change(body):
        requested.append(body)
        return body | {"next_cursor": "#&limit=1/../?x=%0d" if len(requested) == 1 else None}

    answering(world, "GET", "/vaults", change)
    seen = []
    world.server.before = lambda method, path: seen.append((method, path))
    with pytest.raises(AnswerInvalid, match="twice"):
        world.laptop.sync()

    assert [path for method, path in seen if path.startswith("/vaults")] == ["/vaults"] * 2


@pytest.mark.parametrize(
    "attack",
    [
        {"revision": 3},
        {"head": b64(bytes(32))},
        {"generation": 2},
        {"overview": b64(bytes(145))},
        {"overview_revision": 1},
        {"overview_generation": 2},
        {"keys": []},
        {"id": "00000000-0000-4000-8000-000000000000"},
    ],
)
def test_differently_created_vault_is_rejected(world, attack):
    answering(world, "POST", "/vaults", lambda body: body | attack)

    with pytest.raises(StateMismatch):
        world.laptop.create_vault("Work")


def test_rename_response_must_have_the_new_name(world):
    (vault,) = world.server.vaults.values()
    old = vault["overview"]
    answering(world, "PUT", f"/vaults/{vault['id']}", lambda body: body | {"overview": old})

    with pytest.raises(StateMismatch):
        world.laptop.rename_vault("Personal", "Private")


@pytest.mark.parametrize("status", [202, 204, 304])
@pytest.mark.parametrize(
    ("method", "ending"), [("GET", "/vaults"), ("GET", "/me"), ("PUT", "/profile"), ("PUT", "")]
)
def test_empty_response_is_an_error(world, method, ending, status):
    def tamper(requested, path, was, body):
        fits = requested == method and (path.endswith(ending) if ending else "/items/" in path)
        return (status, None) if fits else (was, body)

    def use():
        with world.laptop as laptop:
            laptop.sync()
            laptop.add("login", *mail())

    world.server.tamper = tamper
    with pytest.raises(IntegrityError):
        use()
