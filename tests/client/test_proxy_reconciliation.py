"""`vaultr sync --accept` and writes, with a server that offers replaced keys or altered items."""

import copy

import pytest

from tests.harness.client.server_attacks import flipped
from tests.harness.client.tampering_proxy import ITEM, forge_last_entry, secrets_of
from tests.harness.client.world import PASSWORD, mail
from vaultr.client.reconciliation.accept import NotShown

NEW = "another master password"
NEWEST = {"Mail": "second Mail", "Bank": "first Bank"}


def puts_after(vault, n):
    return [each for each in vault["entries"] if each["n"] > n and each["op"] == "put"]


def item_called(proxy, title):
    """Return an item as stored on the server."""
    with proxy.opened() as laptop:
        (found,) = [each for each in laptop.items(offline=True) if each.title == title]
    return proxy.vault()["items"][str(found.id)]


def accepts(proxy, *, on="laptop", password=PASSWORD):
    proxy.types("sync", "--explain", on=on, password=password)
    return proxy.types("sync", "--accept", "--yes", on=on, password=password)


def check_nothing_lost(proxy, secrets, *, password=PASSWORD):
    for name in ("laptop", "tablet"):
        with proxy.sdk(name) as device:
            if name == "tablet":
                device.login("ann@example.org", password, secret_key=proxy.secret_key)
            else:
                device.unlock(password)
            assert secrets_of(device) == secrets


@pytest.mark.parametrize("step_up", [True, False])
def test_accepting_rolled_back_rotation_rotates_before_writing_again(proxy, step_up):
    before = copy.deepcopy((proxy.server.vaults, proxy.server.account["profile"]))
    n = proxy.vault()["revision"]
    with proxy.opened() as laptop:
        laptop.rotate()
        laptop.edit("Mail", detail={"password": "second Mail"})
    proxy.server.vaults, proxy.server.account["profile"] = before
    proxy.server.step_up = step_up

    result = accepts(proxy)

    proven = [path for _, path, _ in proxy.server.requests if path.endswith("step-up")]
    assert bool(proven) is not step_up
    proxy.server.step_up = True
    if not step_up:
        # all of it is set aside until the keys are replaced
        assert not puts_after(proxy.vault(), n)
        result = proxy.types("sync", "--accept", "--yes")
    assert result.code == 0, result.err
    assert "so they were rotated again" in result.out
    assert puts_after(proxy.vault(), n)
    assert {each["generation"] for each in puts_after(proxy.vault(), n)} == {2}
    check_nothing_lost(proxy, NEWEST)


def test_write_with_due_rotation_starts_it_or_fails(proxy):
    with proxy.opened() as laptop:
        laptop.change_password(PASSWORD, NEW, new_key=True)
    n = proxy.vault()["revision"]
    proxy.reject("POST", "/rotation")

    rejected = proxy.types("add", "login", "--json", stdin=ITEM, password=NEW)
    edited = proxy.types("edit", "Mail", "--json", stdin=ITEM, password=NEW)

    assert (rejected.code, edited.code) == (1, 1)
    assert "Nothing was written. The keys of vault Personal must be replaced first" in rejected.err
    assert "vaultr rotate" in rejected.err
    assert proxy.vault()["revision"] == n
    proxy.be_honest()
    added = proxy.types("add", "login", "--json", stdin=ITEM, password=NEW)
    assert added.code == 0, added.err
    assert "Run vaultr rotate to move the other items" in added.err
    assert [each["generation"] for each in puts_after(proxy.vault(), n)] == [2]


def test_rename_fails_if_due_rotation_cannot_begin(proxy):
    with proxy.opened() as laptop:
        laptop.change_password(PASSWORD, NEW, new_key=True)
    proxy.reject("POST", "/rotation")

    rejected = proxy.types("vaults", "rename", "Personal", "Mine", password=NEW)

    assert rejected.code == 1
    assert proxy.vault()["overview_revision"] == 0


def alter(item):
    """Replace an item's content by content that no device sealed."""
    for part in ("overview", "detail"):
        item[part] = flipped(item[part])


def test_altered_items_are_written_again_and_never_vouched_for(proxy):
    alter(item_called(proxy, "Mail"))
    alter(item_called(proxy, "Bank"))
    n = proxy.vault()["revision"]

    explained = proxy.types("sync", "--explain")
    result = accepts(proxy)

    assert explained.out.count("cannot be opened with your keys") == 2
    assert result.code == 0, result.err
    ops = [each["op"] for each in proxy.vault()["entries"][n:]]
    assert ops == ["put", "put"]
    check_nothing_lost(proxy, {"Mail": "first Mail", "Bank": "first Bank"})


def test_items_waiting_for_rewrite_are_not_vouched_for(proxy):
    alter(item_called(proxy, "Mail"))
    alter(item_called(proxy, "Bank"))
    altered = copy.deepcopy(proxy.server.vaults)
    assert accepts(proxy).code == 0

    # The server keeps the altered rows and shows only the first entry of the batch.
    written = proxy.vault()
    (vault,) = altered.values()
    entry = written["entries"][vault["revision"]]
    vault["entries"].append(entry)
    vault |= {"revision": entry["n"], "head": entry["head"]}
    done = written["puts"][entry["item_id"]][entry["n"]]
    vault["items"][entry["item_id"]] = copy.deepcopy(done)
    proxy.server.vaults = altered

    with proxy.sdk("tablet") as tablet:
        tablet.login("ann@example.org", PASSWORD, secret_key=proxy.secret_key)
    assert proxy.types("list", on="tablet").code == 5


def test_unsigned_last_entry_is_never_accepted(proxy):
    item = item_called(proxy, "Mail")
    alter(item)
    forge_last_entry(proxy, item)

    result = accepts(proxy)

    assert result.code == 5
    assert "was not signed with the vault's keys" in result.err
    assert "repair" not in [each["op"] for each in proxy.vault()["entries"]]
    assert "first Mail" in proxy.types("show", "Mail", "--reveal", "--offline").out


def test_altered_item_without_newest_local_copy_prevents_acceptance(proxy):
    with proxy.opened("phone") as phone:
        phone.edit("Mail", detail={"password": "second Mail"})
    alter(item_called(proxy, "Mail"))
    n = proxy.vault()["revision"]

    result = accepts(proxy)

    assert result.code == 5
    assert "this device does not have their newest content" in result.err
    assert "on your other devices" in result.err
    assert proxy.vault()["revision"] == n
    assert accepts(proxy, on="phone").code == 0
    check_nothing_lost(proxy, NEWEST)


def test_new_item_of_this_device_survives_an_altered_set(proxy):
    before = copy.deepcopy((proxy.server.vaults, proxy.server.account["profile"]))
    with proxy.opened() as laptop:
        laptop.add("login", *mail("New", "first New"))
    proxy.server.vaults, proxy.server.account["profile"] = before
    alter(item_called(proxy, "Bank"))

    result = accepts(proxy)

    assert result.code == 0, result.err
    check_nothing_lost(proxy, {"Mail": "first Mail", "Bank": "first Bank", "New": "first New"})


def test_state_that_was_not_listed_is_not_accepted(proxy):
    """An older state is also signed, but only the listed state is accepted."""
    older = copy.deepcopy(proxy.server.vaults)
    with proxy.opened() as laptop:
        laptop.add("login", *mail("New", "first New"))
    alter(item_called(proxy, "Bank"))
    proxy.types("sync", "--explain")
    listed = copy.deepcopy(proxy.server.vaults)

    def before(method, path):
        proxy.server.vaults = older if path.endswith("/sync") else listed

    proxy.server.before = before
    with proxy.opened() as laptop, pytest.raises(NotShown):
        laptop.accept()

    proxy.be_honest()
    proxy.server.vaults = listed
    assert "New" in proxy.types("list", "--offline").out
