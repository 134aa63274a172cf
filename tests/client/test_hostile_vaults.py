"""The SDK with a malicious server and false vaults or profiles: one error, cache unchanged."""

import copy

import httpx2
import pytest

from tests.harness.client.server_attacks import answering, flipped, titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.errors import (
    AnswerInvalid,
    ChainBroken,
    IntegrityError,
    PinMismatch,
    PreconditionFailed,
    RolledBack,
    SealBroken,
)
from vaultr.protocol.encoding import b64


def test_emptied_server_is_an_error_and_preserves_cache(world):
    world.laptop.add("login", *mail())
    world.server.vaults.clear()

    with pytest.raises(RolledBack, match="missing"):
        world.laptop.sync()

    assert titles(world.laptop) == ["Mail"]


def test_rolled_back_vault_error_names_both_heads(world):
    world.laptop.add("login", *mail())
    before = copy.deepcopy(world.server.vaults)
    world.laptop.add("login", *mail("Bank"))
    world.server.vaults = before

    with pytest.raises(RolledBack, match=r"2 \([0-9a-f]{12}\).*1 \([0-9a-f]{12}\)"):
        world.laptop.sync()

    assert titles(world.laptop) == ["Bank", "Mail"]
    assert not any(each.continues for each in world.laptop.explain())


def test_new_device_detects_rollback_by_profile(world):
    world.laptop.add("login", *mail())
    before = copy.deepcopy(world.server.vaults)
    world.laptop.add("login", *mail("Bank"))
    world.laptop.close()
    world.server.vaults = before

    with pytest.raises(RolledBack):
        world.second().sync()


def test_fork_is_detected_by_the_profile(world):
    world.laptop.add("login", *mail())
    before = copy.deepcopy(world.server.vaults)
    phone = world.second()
    phone.add("login", *mail("Bank"))
    phone.close()
    world.server.vaults = before
    tablet = world.device("tablet")
    world.server.tamper = None
    world.laptop.add("login", *mail("Cloud"))  # the laptop writes on the other branch

    with pytest.raises(ChainBroken):
        world.laptop.sync()
    tablet.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)
    with pytest.raises(IntegrityError):
        tablet.sync()


@pytest.mark.parametrize("attack", ["dropped", "doubled", "older", "swapped", "moved", "retyped"])
def test_items_contradicting_the_log_are_detected(world, attack):
    first = world.laptop.add("login", *mail())
    second = world.laptop.add("login", *mail("Bank"))
    (vault,) = world.server.vaults.values()
    old = copy.deepcopy(vault["items"][str(first.id)])
    world.laptop.edit("Mail", detail={"password": "new"})

    def change(page):
        items = {item["id"]: item for item in page["items"]}
        mine, other = items[str(first.id)], items[str(second.id)]
        match attack:
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


def test_item_restored_by_server_is_detected(world):
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
def test_write_with_wrong_response_is_rejected(world, name):
    item = world.laptop.add("login", *mail())
    attacks = {
        "id": "00000000-0000-4000-8000-000000000000",
        "revision": 7,
        "head": b64(bytes(32)),
        "content_revision": 1,
    }
    answering(world, "PUT", f"/items/{item.id}", lambda body: body | {name: attacks[name]})

    with pytest.raises(IntegrityError):
        world.laptop.edit("Mail", detail={"password": "new"})


def test_dropped_write_is_detected(world):
    (vault,) = world.server.vaults.values()
    before = copy.deepcopy(vault)
    world.laptop.add("login", *mail())
    world.server.vaults[vault["id"]] = before

    with pytest.raises(RolledBack):
        world.laptop.sync()

    assert titles(world.laptop) == ["Mail"]


def test_false_head_moved_is_detected(world):
    def reject(method, path, status, body):
        if method == "PUT" and "/items/" in path:
            return 409, {"type": "urn:vaultr:problem:head-moved", "status": 409, "revision": 9}
        return status, body

    world.server.tamper = reject
    world.server.before = undoing(world)
    with pytest.raises(AnswerInvalid, match="rejected a change"):
        world.laptop.add("login", *mail())


def undoing(world):
    """Undo each write to an item before the next response."""
    stored = copy.deepcopy(world.server.vaults)

    def before(method, path):
        world.server.vaults = copy.deepcopy(stored)

    return before


def test_rolled_back_profile_is_detected(world):
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


def test_two_profiles_of_one_revision_are_detected(world):
    def change(body):
        sealed = body["key_set"]["profile"]
        sealed["sealed"] = world.server.account["profile"]["sealed"][:-4] + "AAAA"
        return body

    answering(world, "GET", "/auth/me", change)
    with pytest.raises(IntegrityError):
        world.laptop.sync()


def test_unwritable_profile_fails_the_command(world):
    def reject(method, path, status, body):
        if method == "PUT" and path == "/auth/profile":
            return 412, {"type": "urn:vaultr:problem:precondition-failed", "status": 412}
        return status, body

    world.laptop.add("login", *mail())
    world.server.tamper = reject
    stored = copy.deepcopy(world.server.account["profile"])
    world.server.before = lambda *_: world.server.account.update(profile=copy.deepcopy(stored))

    with pytest.raises((AnswerInvalid, PreconditionFailed)):
        world.laptop.close()


def test_second_wrap_for_a_generation_is_detected(world):
    world.laptop.add("login", *mail())

    def change(page):
        page["vault"]["keys"] = [*page["vault"]["keys"], dict(page["vault"]["keys"][0])]
        page["vault"]["keys"][1]["sealed_key"] = flipped(page["vault"]["keys"][0]["sealed_key"])
        return page

    answering(world, "GET", "/sync", change)
    with pytest.raises(IntegrityError):
        world.second().sync()


def test_modified_cached_detail_is_reported_and_not_shown(world, tmp_path):
    world.laptop.add("login", *mail())
    (details,) = (tmp_path / "laptop" / "vaults").glob("*.details")
    data = bytearray(details.read_bytes())
    data[50] ^= 1
    details.write_bytes(bytes(data))

    with pytest.raises(IntegrityError, match=details.name):
        world.laptop.item("Mail", offline=True)


def test_altered_cache_is_reported_and_preserved(world, tmp_path):
    world.laptop.add("login", *mail())
    world.laptop.close()
    (cached,) = (tmp_path / "laptop" / "vaults").glob("*.vault")
    cached.write_bytes(cached.read_bytes().replace(b'"n":1', b'"n":0'))
    again = world.device("laptop")
    again.unlock(PASSWORD)

    with pytest.raises(IntegrityError, match=cached.name):
        again.sync()

    assert cached.exists()


def test_new_vault_with_unopenable_name_is_rejected(world):
    def tamper(method, path, status, body):
        if not path.endswith("/sync"):
            return status, body
        requested = httpx2.Request("GET", "https://vault.example")
        _, page, _ = world.server.sync(path.split("/")[2], query={}, request=requested)
        page["vault"]["overview"] = flipped(page["vault"]["overview"])
        return 200, page

    world.server.tamper = tamper
    with pytest.raises(SealBroken, match="The name of vault"):
        world.laptop.sync()

    world.server.tamper = None
    assert [vault.name for vault in world.laptop.vaults()] == ["Personal"]
    assert [report.n for report in world.laptop.sync()] == [0]


def test_newer_account_key_in_ended_session_is_error(world):
    def change(body):
        body["key_set"]["account_key"]["epoch"] = 2
        return body

    answering(world, "GET", "/auth/me", change)
    with pytest.raises(PinMismatch, match="number 2"):
        world.laptop.sync()
