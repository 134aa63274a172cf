"""The SDK with an honest server in memory: vaults, batches, the profile and lost responses."""

import pytest

from tests.harness.client.world import PASSWORD, mail
from vaultr.client.errors import Refused, ServerUnreachable
from vaultr.client.items.schemas import Draft, ItemInvalid
from vaultr.client.vaultr_client import Ambiguous, EditConflict


def test_vault_is_selected_by_its_name(world):
    work = world.laptop.create_vault("Work")

    item = world.laptop.add("login", *mail(), vault="Work")

    assert item.vault_id == work.id
    assert world.laptop.items(vault="Personal") == []
    assert world.laptop.rename_vault("Work", "Office").name == "Office"
    assert sorted(vault.name for vault in world.second().vaults()) == ["Office", "Personal"]


def test_default_vault_is_the_first_known_one(world):
    world.laptop.create_vault("Work")

    item = world.laptop.add("login", *mail())

    assert [found.id for found in world.laptop.items(vault="Personal")] == [item.id]
    world.laptop.rename_vault("Personal", "Home")
    with pytest.raises(Ambiguous):
        world.laptop.add("login", *mail())


def test_many_items_are_sent_in_batches_with_progress(world):
    drafts = [Draft("login", *mail(f"Item {n}")) for n in range(1500)]
    reported = []

    added = world.laptop.add_many(drafts, progress=lambda *far: reported.append(far))

    assert [item.title for item in added] == [draft.overview["title"] for draft in drafts]
    assert reported == [(1000, 1500), (1500, 1500)]
    assert len(world.sent("POST", "/changes")) == 2
    world.server.page = 300
    assert len(world.second().items()) == 1500


def test_large_items_go_in_smaller_batches(world):
    drafts = [Draft("note", {"title": str(n)}, {"notes": "x" * 50_000}) for n in range(250)]

    world.laptop.add_many(drafts)

    sent = world.sent("POST", "/changes")
    assert len(sent) == 2
    assert max(map(len, sent)) < 16 * 1024 * 1024


def test_one_invalid_draft_prevents_the_whole_batch(world):
    drafts = [Draft("login", *mail()), Draft("login", {}, {})]

    with pytest.raises(ItemInvalid):
        world.laptop.add_many(drafts)

    assert world.laptop.items() == []


@pytest.mark.parametrize("ending", ["/trash", "/changes"])
def test_lost_write_response_is_retried_with_same_bytes(world, ending):
    world.laptop.add("login", *mail())
    world.server.lose = [("POST", ending)]

    if ending == "/trash":
        world.laptop.trash("Mail")
    else:
        world.laptop.add_many([Draft("login", *mail(str(n))) for n in range(2)])

    first, second = world.sent("POST", ending)
    assert first == second
    assert len(world.laptop.items(state="any")) == (1 if ending == "/trash" else 3)


def test_vault_with_lost_creation_uses_same_keys(world):
    world.server.lose = [("POST", "/vaults")] * 4
    with pytest.raises(ServerUnreachable):
        world.laptop.create_vault("Work")

    names = sorted(report.name for report in world.laptop.sync())

    assert names == ["Personal", "Work"]
    assert len(set(world.sent("POST", "/vaults")[1:])) == 1
    assert len(world.server.vaults) == 2


def test_possibly_created_vault_is_synced_after_error(world):
    def busy(method, path, status, body):
        if (method, path) == ("POST", "/vaults") and len(world.sent("POST", "/vaults")) > 2:
            return 429, {"type": "urn:vaultr:problem:locked", "status": 429}
        return status, body

    world.server.tamper = busy
    world.server.lose = [("POST", "/vaults")]
    with pytest.raises(Refused):
        world.laptop.create_vault("Work")
    world.server.tamper = None

    names = sorted(report.name for report in world.laptop.sync())

    assert names == ["Personal", "Work"]
    assert len(world.server.vaults) == 2


def test_lost_response_to_profile_write_is_not_a_failure(world):
    world.laptop.add("login", *mail())
    world.server.lose = [("PUT", "/auth/profile")]

    world.laptop.close()

    with world.device("laptop") as again:
        again.unlock(PASSWORD)
        again.sync()


def test_two_devices_that_write_the_profile_are_merged(world):
    phone = world.second()
    phone.add("login", *mail("Bank"))
    world.laptop.sync()
    world.laptop.create_vault("Work")
    world.laptop.close()
    phone.close()

    assert len(world.second("tablet").vaults()) == 2


def test_profile_is_written_by_each_command_without_agent(world):
    world.laptop.close()
    before = world.server.account["profile"]["revision"]
    for _ in range(2):
        with world.device("laptop") as again:
            again.unlock(PASSWORD)
            again.add("login", *mail())

    assert world.server.account["profile"]["revision"] == before + 2


def noted(world):
    """Return the revision of the vault in the profile, as the device stores it."""
    account = world.again().device.unlocked.account
    (vault_id,) = account.profile.vaults
    return account.profile.head_of(vault_id).n


def revision(world):
    (vault,) = world.server.vaults.values()
    return vault["revision"]


def test_write_before_sync_reaches_profile_on_close(world):
    world.laptop.add("login", *mail())
    laptop = world.again()  # which records it: the minute begins
    laptop.edit("Mail", detail={"password": "new"})

    laptop.sync()

    laptop.close()
    assert noted(world) == revision(world)


def test_head_from_sync_reaches_profile_on_close(world):
    world.laptop.add("login", *mail())
    laptop = world.again()
    phone = world.second_by_key()
    phone.edit("Mail", detail={"password": "new"})
    phone.device.drop()  # killed before it recorded the head

    laptop.sync()

    laptop.close()
    assert noted(world) == revision(world)


def test_unchanged_sync_writes_no_profile(world):
    world.laptop.sync()
    before = len(world.server.requests)

    world.laptop.sync()

    requested = [path.rpartition("/")[2] for _, path, _ in world.server.requests[before:]]
    assert requested == ["me", "vaults", "sync"]


def test_item_changed_during_confirmation_is_not_removed(world):
    world.laptop.add("login", *mail())
    world.laptop.trash("Mail")
    phone = world.second()

    def overtake(method, path):
        if path.endswith("/remove"):
            world.server.before = None
            phone.restore("Mail")

    world.server.before = overtake
    with pytest.raises(EditConflict):
        world.laptop.remove("Mail")

    assert [item.title for item in world.laptop.items()] == ["Mail"]
