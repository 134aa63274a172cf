"""The SDK with a server that lies: one clear error, the password unused, the cache kept."""

import copy
import secrets

import pytest

from tests.client.world import EMAIL, PASSWORD, URL, mail
from vaultr import Vaultr
from vaultr.client import keys, primitives
from vaultr.client.account import SecretKeyNeeded
from vaultr.client.errors import (
    AnswerInvalid,
    ChainBroken,
    IntegrityError,
    PinMismatch,
    PreconditionFailed,
    RolledBack,
    SealBroken,
    UnsafeParameters,
)
from vaultr.client.pins import Derivation, Pins
from vaultr.client.profile import seal_profile
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.kdf import Kdf

KDF = {"alg": "argon2id", "m": 65_536, "t": 3, "p": 4}


@pytest.fixture
def argon2(monkeypatch):
    """How often a password was used."""
    used = []
    derive = primitives.argon2id

    def counted(*inputs, **named):
        used.append(inputs[0])
        return derive(*inputs, **named)

    monkeypatch.setattr(primitives, "argon2id", counted)
    return used


def answering(world, method, ending, change):
    """Change each answer of 2xx to one route."""

    def twist(asked, path, status, body):
        if asked == method and path.endswith(ending) and status < 300 and body is not None:
            return status, change(copy.deepcopy(body))
        return status, body

    world.server.twist = twist


def titles(device):
    return sorted(item.title for item in device.items(offline=True))


@pytest.mark.parametrize(
    "lie",
    [
        {"kdf": KDF | {"m": 65_535}},
        {"kdf": KDF | {"m": 1_048_577}},
        {"kdf": KDF | {"t": 2}},
        {"kdf": KDF | {"p": 0}},
        {"kdf": KDF | {"alg": "argon2i"}},
        {"kdf": KDF | {"m": True}},
        {"kdf": None},
        {"salt": b64(bytes(31))},
        {"salt": b64(bytes(32))},
        {"salt": "="},
        {"auth_scheme": "plain"},
        {"account_id": "x"},
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_inputs_out_of_bounds_stop_before_the_password_is_used(world, argon2, lie, known):
    answering(world, "POST", "/auth/prelogin", lambda body: body | lie)
    device = world.device("laptop" if known else "phone")
    argon2.clear()

    with pytest.raises((UnsafeParameters, AnswerInvalid)) as stopped:
        device.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)

    assert stopped.value.exit_code == 5
    assert argon2 == []


@pytest.mark.parametrize(
    "lie",
    [
        {"kdf": KDF | {"m": 131_072}},
        {"salt": b64(secrets.token_bytes(32))},
        {"account_id": "00000000-0000-4000-8000-000000000000"},
    ],
)
def test_other_inputs_than_pinned_stop_before_the_password_is_used(world, argon2, lie):
    answering(world, "POST", "/auth/prelogin", lambda body: body | lie)
    argon2.clear()

    with pytest.raises(PinMismatch):
        world.device("laptop").login(EMAIL, PASSWORD)

    assert argon2 == []


def test_a_signup_pins_before_the_first_login(tmp_path, world, argon2):
    server = type(world.server)()
    device = Vaultr(URL, home=tmp_path / "new", transport=server.transport(), agent=False)
    device.signup(EMAIL, PASSWORD)
    argon2.clear()

    with pytest.raises(PinMismatch, match="not confirmed"):
        device.login(EMAIL, PASSWORD)

    assert argon2 == []


def with_new_password(world, password, *, in_profile=True):
    """Do what another device does when the owner changes the master password there."""
    held = world.laptop._desk.account
    salt, kdf = secrets.token_bytes(32), Kdf("argon2id", 65_536, 4, 2)
    root = keys.derive_root(password, salt, kdf, world.signup.secret_key)
    sealed = keys.seal_account_key(
        keys.kek(root, held.account_id), held.account_id, 2, kdf, salt, held.account_key
    )
    derivation = Derivation(held.account_id, kdf, salt)
    profile = held.profile
    if in_profile:
        profile = profile.with_pins(Pins.of(derivation, origin=URL, secret_key=True))
    profile = seal_profile(held.wrap_key, held.account_id, profile, held.profile.revision + 1)
    world.server.account |= {
        "auth_key": b64(keys.auth_key(root, held.account_id)),
        "kdf": kdf.to_json(),
        "salt": b64(salt),
        "account_key": {"epoch": 2, "sealed": b64(sealed)},
        "profile": {"revision": profile.revision, "sealed": b64(profile.sealed)},
    }
    world.server.sessions.clear()


NEW_PASSWORD = "another master password"


def test_a_password_changed_elsewhere_is_taken_only_when_the_owner_says_so(world):
    world.laptop.add("login", *mail())
    with_new_password(world, NEW_PASSWORD)

    with pytest.raises(PinMismatch):
        world.laptop.login(EMAIL, NEW_PASSWORD)
    world.laptop.login(EMAIL, NEW_PASSWORD, changed=True)

    assert [item.title for item in world.laptop.items()] == ["Mail"]
    world.device("laptop").login(EMAIL, NEW_PASSWORD)
    world.device("laptop").unlock(NEW_PASSWORD)


def test_inputs_that_the_profile_does_not_confirm_are_not_taken(world):
    with_new_password(world, NEW_PASSWORD, in_profile=False)

    with pytest.raises(PinMismatch, match="profile"):
        world.device("laptop").login(EMAIL, NEW_PASSWORD, changed=True)

    world.device("laptop").unlock(PASSWORD)


def test_an_older_account_key_is_not_taken_back(world):
    before = copy.deepcopy(world.server.account)
    with_new_password(world, NEW_PASSWORD)
    world.laptop.login(EMAIL, NEW_PASSWORD, changed=True)
    world.server.account = before

    with pytest.raises(RolledBack):
        world.laptop.login(EMAIL, PASSWORD, changed=True)


def test_changed_never_takes_another_account(world):
    other = {"account_id": "00000000-0000-4000-8000-000000000000"}
    answering(world, "POST", "/auth/prelogin", lambda body: body | other)

    with pytest.raises(PinMismatch):
        world.device("laptop").login(EMAIL, PASSWORD, changed=True)


def test_another_origin_gets_nothing(world, tmp_path):
    before = len(world.server.requests)
    elsewhere = Vaultr(
        "https://evil.example",
        home=tmp_path / "laptop",
        transport=world.server.transport(),
        agent=False,
    )

    with pytest.raises(PinMismatch):
        elsewhere.login(EMAIL, PASSWORD)
    with pytest.raises(PinMismatch):
        elsewhere.unlock(PASSWORD)

    assert len(world.server.requests) == before


def test_a_new_device_that_is_relayed_through_another_origin_notices(world, tmp_path):
    relayed = Vaultr(
        "https://evil.example",
        home=tmp_path / "phone",
        transport=world.server.transport(),
        agent=False,
    )

    with pytest.raises(PinMismatch):
        relayed.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)

    with pytest.raises(SecretKeyNeeded):
        relayed.login(EMAIL, PASSWORD)


def flipped(text):
    data = bytearray(unb64(text))
    data[40] ^= 1
    return b64(bytes(data))


@pytest.mark.parametrize("part", ["account_key", "profile"])
def test_a_key_set_that_was_touched_does_not_open(world, part):
    def change(body):
        sealed = body["key_set"][part]
        sealed["sealed"] = flipped(sealed["sealed"])
        return body

    answering(world, "POST", "/auth/login", change)

    with pytest.raises(SealBroken):
        world.second()


def test_a_public_identity_key_that_was_exchanged_is_noticed(world):
    def change(body):
        body["key_set"]["identity"]["x25519"]["public"] = b64(secrets.token_bytes(32))
        return body

    answering(world, "POST", "/auth/login", change)

    with pytest.raises(SealBroken):
        world.second()


def test_an_emptied_server_is_an_error_and_empties_nothing(world):
    world.laptop.add("login", *mail())
    world.server.vaults.clear()

    with pytest.raises(RolledBack, match="missing"):
        world.laptop.sync()

    assert titles(world.laptop) == ["Mail"]


def test_a_vault_rolled_back_is_an_error_that_names_both_heads(world):
    world.laptop.add("login", *mail())
    before = copy.deepcopy(world.server.vaults)
    world.laptop.add("login", *mail("Bank"))
    world.server.vaults = before

    with pytest.raises(RolledBack, match=r"2 [0-9a-f]{12}.*1 [0-9a-f]{12}"):
        world.laptop.sync()

    assert titles(world.laptop) == ["Bank", "Mail"]
    assert world.laptop.explain()


def test_a_roll_back_is_noticed_by_a_new_device_through_the_profile(world):
    world.laptop.add("login", *mail())
    before = copy.deepcopy(world.server.vaults)
    world.laptop.add("login", *mail("Bank"))
    world.laptop.close()
    world.server.vaults = before

    with pytest.raises(RolledBack):
        world.second().sync()


def test_a_fork_that_only_the_profile_shows_is_noticed(world):
    world.laptop.add("login", *mail())
    before = copy.deepcopy(world.server.vaults)
    phone = world.second()
    phone.add("login", *mail("Bank"))
    phone.close()
    world.server.vaults = before
    tablet = world.device("tablet")
    world.server.twist = None
    world.laptop.add("login", *mail("Cloud"))  # the laptop writes on the other branch

    with pytest.raises(ChainBroken):
        world.laptop.sync()
    tablet.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)
    with pytest.raises(IntegrityError):
        tablet.sync()


@pytest.mark.parametrize("lie", ["dropped", "doubled", "older", "swapped", "moved", "retyped"])
def test_items_that_are_not_those_of_the_log_are_noticed(world, lie):
    first = world.laptop.add("login", *mail())
    second = world.laptop.add("login", *mail("Bank"))
    (vault,) = world.server.vaults.values()
    old = copy.deepcopy(vault["items"][str(first.id)])
    world.laptop.edit("Mail", detail={"password": "new"})

    def change(page):
        items = {item["id"]: item for item in page["items"]}
        mine, other = items[str(first.id)], items[str(second.id)]
        match lie:
            case "dropped":
                page["items"].remove(mine)
            case "doubled":
                page["items"].append(mine)
            case "older":
                mine |= {name: old[name] for name in ("overview", "detail", "content_revision")}
            case "swapped":
                mine["detail"], other["detail"] = other["detail"], mine["detail"]
            case "moved":
                mine["overview"], mine["detail"] = mine["detail"], mine["overview"]
            case "retyped":
                mine["type"] = "note"
        return page

    answering(world, "GET", "/sync", change)
    with pytest.raises(IntegrityError):
        world.second().sync()

    assert titles(world.laptop) == ["Bank", "Mail"]


def test_an_item_brought_back_from_the_trash_is_noticed(world):
    world.laptop.add("login", *mail())
    phone = world.second()
    phone.sync()
    world.laptop.trash("Mail")

    def change(page):
        for item in page["items"]:
            item["state"] = "active"
        return page

    answering(world, "GET", "/sync", change)
    with pytest.raises(IntegrityError):
        phone.sync()


@pytest.mark.parametrize("name", ["id", "revision", "head", "content_revision"])
def test_a_write_answered_with_something_else_is_not_believed(world, name):
    item = world.laptop.add("login", *mail())
    lies = {
        "id": "00000000-0000-4000-8000-000000000000",
        "revision": 7,
        "head": b64(bytes(32)),
        "content_revision": 1,
    }
    answering(world, "PUT", f"/items/{item.id}", lambda body: body | {name: lies[name]})

    with pytest.raises(IntegrityError):
        world.laptop.edit("Mail", detail={"password": "new"})


def test_a_write_acknowledged_but_dropped_is_noticed(world):
    (vault,) = world.server.vaults.values()
    before = copy.deepcopy(vault)
    world.laptop.add("login", *mail())
    world.server.vaults[vault["id"]] = before

    with pytest.raises(RolledBack):
        world.laptop.sync()

    assert titles(world.laptop) == ["Mail"]


def test_a_head_that_is_said_to_have_moved_and_has_not_is_noticed(world):
    def refuse(method, path, status, body):
        if method == "PUT" and "/items/" in path:
            return 409, {"type": "urn:vaultr:problem:head-moved", "status": 409, "revision": 9}
        return status, body

    world.server.twist = refuse
    world.server.before = undoing(world)
    with pytest.raises(AnswerInvalid, match="refuses"):
        world.laptop.add("login", *mail())


def undoing(world):
    """Undo each write to an item before the next request is answered."""
    kept = copy.deepcopy(world.server.vaults)

    def before(method, path):
        world.server.vaults = copy.deepcopy(kept)

    return before


def test_a_profile_that_went_back_is_noticed(world):
    old = copy.deepcopy(world.server.account["profile"])
    world.laptop.add("login", *mail())
    world.laptop.close()
    world.server.account["profile"] = old
    again = world.device("laptop")
    again.unlock(PASSWORD)

    with pytest.raises(RolledBack, match="profile"):
        again.sync()
    with pytest.raises(RolledBack, match="profile"):
        world.device("laptop").login(EMAIL, PASSWORD)


def test_two_profiles_of_one_revision_are_noticed(world):
    def change(body):
        sealed = body["key_set"]["profile"]
        sealed["sealed"] = world.server.account["profile"]["sealed"][:-4] + "AAAA"
        return body

    answering(world, "GET", "/auth/me", change)
    with pytest.raises(IntegrityError):
        world.laptop.sync()


def test_a_profile_that_is_never_written_makes_the_command_fail(world):
    def refuse(method, path, status, body):
        if method == "PUT" and path == "/auth/profile":
            return 412, {"type": "urn:vaultr:problem:precondition-failed", "status": 412}
        return status, body

    world.laptop.add("login", *mail())
    world.server.twist = refuse
    kept = copy.deepcopy(world.server.account["profile"])
    world.server.before = lambda *_: world.server.account.update(profile=copy.deepcopy(kept))

    with pytest.raises((AnswerInvalid, PreconditionFailed)):
        world.laptop.close()


def test_a_second_wrap_for_a_generation_is_noticed(world):
    world.laptop.add("login", *mail())

    def change(page):
        page["vault"]["keys"] = [*page["vault"]["keys"], dict(page["vault"]["keys"][0])]
        page["vault"]["keys"][1]["sealed_key"] = flipped(page["vault"]["keys"][0]["sealed_key"])
        return page

    answering(world, "GET", "/sync", change)
    with pytest.raises(IntegrityError):
        world.second().sync()


def test_a_cached_detail_that_was_altered_is_named_and_not_shown(world, tmp_path):
    world.laptop.add("login", *mail())
    (details,) = (tmp_path / "laptop" / "vaults").glob("*.details")
    data = bytearray(details.read_bytes())
    data[50] ^= 1
    details.write_bytes(bytes(data))

    with pytest.raises(IntegrityError, match=details.name):
        world.laptop.item("Mail", offline=True)


def test_an_altered_cache_is_named_and_stays(world, tmp_path):
    world.laptop.add("login", *mail())
    world.laptop.close()
    (cached,) = (tmp_path / "laptop" / "vaults").glob("*.vault")
    cached.write_bytes(cached.read_bytes().replace(b'"n":1', b'"n":0'))
    again = world.device("laptop")
    again.unlock(PASSWORD)

    with pytest.raises(IntegrityError, match=cached.name):
        again.sync()

    assert cached.exists()
