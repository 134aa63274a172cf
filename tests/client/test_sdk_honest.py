"""The SDK with an honest server in memory: what the real one does too, and lost answers."""

import json
import stat

import pytest

from tests.client.fake_server import FakeServer
from tests.client.world import EMAIL, PASSWORD, URL, mail
from vaultr import Vaultr
from vaultr.client.api import Ambiguous, EditConflict, NotSignedIn, SecretKeyNeeded, WrongPassword
from vaultr.client.errors import (
    CredentialsInvalid,
    ItemNotFound,
    Locked,
    PreconditionFailed,
    ServerUnreachable,
    SessionEnded,
    UsageError,
)
from vaultr.client.items import Draft, ItemInvalid
from vaultr.client.passwords import WeakPassword


def test_signup_shows_a_code_and_a_secret_key_and_sends_no_secret(world):
    body = world.sent("POST", "/auth/signup")[0]

    assert len(world.signup.code) == 8
    assert len(world.signup.secret_key) == 32
    assert PASSWORD.encode() not in body
    assert set(json.loads(body)) == {
        *("account_id", "email", "auth_scheme", "auth_key", "kdf", "salt"),
        *("account_key", "identity", "profile"),
    }


def test_a_weak_master_password_is_refused_before_anything_is_sent(tmp_path):
    server = FakeServer()
    device = Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False)

    with pytest.raises(WeakPassword):
        device.signup(EMAIL, "password")

    assert server.requests == []


def test_the_first_login_after_verifying_needs_no_secret_key_here(world):
    assert world.laptop.unlocked
    assert [vault.name for vault in world.laptop.vaults()] == ["Personal"]


def test_unlocking_a_device_that_signed_up_logs_in(tmp_path):
    server = FakeServer()
    device = Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False)
    device.signup(EMAIL, PASSWORD)
    device.verify("token0")

    device.unlock(PASSWORD)

    assert device.items() == []


def test_a_new_device_without_the_secret_key_sends_nothing(world):
    before = len(world.server.requests)

    with pytest.raises(SecretKeyNeeded):
        world.device("phone").login(EMAIL, PASSWORD)

    assert len(world.server.requests) == before


def test_a_wrong_password_is_refused_by_the_server_at_login(world):
    with pytest.raises(CredentialsInvalid):
        world.device("phone").login(
            EMAIL, "another long password", secret_key=world.signup.secret_key
        )


def test_a_wrong_password_does_not_unlock_and_asks_nobody(world):
    again = world.device("laptop")
    before = len(world.server.requests)

    with pytest.raises(WrongPassword):
        again.unlock("another long password")

    assert len(world.server.requests) == before


def test_without_its_keys_a_device_is_locked_and_a_new_one_belongs_to_nobody(world):
    with pytest.raises(Locked):
        world.device("laptop").items()
    with pytest.raises(NotSignedIn):
        world.device("phone").items()


def test_a_folder_keeps_one_account(world):
    with pytest.raises(UsageError, match="belongs"):
        world.laptop.signup("bob@example.org", PASSWORD)


def test_an_item_goes_there_and_back_and_the_server_reads_nothing(world):
    added = world.laptop.add("login", *mail())

    found = world.second().item("Mail")

    assert (found.id, found.type, found.revision) == (added.id, "login", 1)
    assert (found.overview, found.detail) == mail()
    stored = json.dumps([world.server.vaults, world.server.account])
    assert not any(word in stored for word in ("hunter2", "Mail", "Personal"))


def test_a_list_opens_no_detail(world):
    world.laptop.add("login", *mail())

    (item,) = world.laptop.items()

    assert item.detail is None
    assert world.laptop.item("Mail", reveal=False).detail is None
    assert "hunter2" not in repr(world.laptop.item("Mail"))


def test_the_cache_answers_without_the_server(world):
    world.laptop.add("login", *mail())
    world.laptop.close()
    world.server.before = lambda *_: pytest.fail("the server was asked")

    with world.device("laptop") as again:
        again.unlock(PASSWORD)

        assert [item.title for item in again.items(offline=True)] == ["Mail"]
        assert again.item("Mail", offline=True).detail == {"password": "hunter2"}


def test_nothing_readable_lies_in_the_folder(world, tmp_path):
    world.laptop.add("login", *mail())
    world.laptop.close()
    access = next(iter(world.server.sessions.values()))["access"]
    files = [file for file in (tmp_path / "laptop").rglob("*") if file.is_file()]

    for secret in ("hunter2", "Mail", "Personal", PASSWORD, access):
        assert not [file for file in files if secret.encode() in file.read_bytes()], secret
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_edit_replaces_what_is_given_and_keeps_the_rest(world):
    world.laptop.add("login", *mail())

    edited = world.laptop.edit("Mail", overview={"username": None}, detail={"totp": "otpauth:x"})

    assert edited.overview == {"title": "Mail"}
    assert world.second().item("Mail").detail == {"password": "hunter2", "totp": "otpauth:x"}


def test_an_item_that_fits_no_schema_is_refused_before_it_is_sent(world):
    with pytest.raises(ItemInvalid):
        world.laptop.add("login", {"title": "Mail", "password": "hunter2"}, {})

    assert not world.sent("PUT", "x")


def test_a_stale_revision_is_a_conflict_that_names_what_differs(world):
    seen = world.laptop.add("login", *mail())
    world.second().edit("Mail", overview=None, detail={"password": "theirs"})

    with pytest.raises(EditConflict) as conflict:
        world.laptop.edit(
            "Mail", overview=None, detail={"password": "ours"}, revision=seen.revision
        )

    assert conflict.value.fields == ["detail.password"]
    assert conflict.value.revision == 2
    assert world.laptop.item("Mail").detail == {"password": "theirs"}
    resolved = world.laptop.edit("Mail", detail={"password": "ours"}, revision=2)
    assert resolved.revision == 3


def test_an_edit_that_another_device_overtakes_is_a_conflict_too(world):
    world.laptop.add("login", *mail())
    phone = world.second()

    def overtake(method, path):
        if method == "PUT" and "/items/" in path:
            world.server.before = None
            phone.edit("Mail", overview={"username": "bob"}, detail=None)

    world.server.before = overtake
    with pytest.raises(EditConflict) as conflict:
        world.laptop.edit("Mail", overview=None, detail={"password": "ours"})

    assert conflict.value.fields == ["overview.username"]


def test_a_write_is_rebased_over_what_others_wrote_elsewhere(world):
    phone = world.second()
    phone.add("login", *mail("Bank"))

    world.laptop.add("login", *mail())

    assert sorted(item.title for item in phone.items()) == ["Bank", "Mail"]


def test_trash_restore_and_remove(world):
    world.laptop.add("login", *mail())

    assert world.laptop.trash("Mail").state == "trash"
    assert world.laptop.items() == []
    assert [item.title for item in world.laptop.items(state="trash")] == ["Mail"]
    assert world.laptop.restore("Mail").state == "active"
    world.laptop.remove("Mail")
    assert world.laptop.items(state="any") == []
    with pytest.raises(ItemNotFound):
        world.laptop.item("Mail")
    assert world.second().items(state="any") == []


def test_trash_of_an_item_that_changed_meanwhile_is_refused(world):
    world.laptop.add("login", *mail())
    phone = world.second()

    def overtake(method, path):
        if path.endswith("/trash"):
            world.server.before = None
            phone.edit("Mail", overview=None, detail={"password": "theirs"})

    world.server.before = overtake
    with pytest.raises(PreconditionFailed):
        world.laptop.trash("Mail")

    assert world.laptop.item("Mail").state == "active"


def test_a_title_must_be_unique_and_an_id_always_is(world):
    first = world.laptop.add("login", *mail())
    world.laptop.add("login", *mail())

    with pytest.raises(Ambiguous):
        world.laptop.item("Mail")
    assert world.laptop.item(str(first.id)).id == first.id


def test_vaults_have_names_and_are_chosen_by_them(world):
    work = world.laptop.create_vault("Work")

    item = world.laptop.add("login", *mail(), vault="Work")

    assert item.vault_id == work.id
    assert world.laptop.items(vault="Personal") == []
    assert world.laptop.rename_vault("Work", "Office").name == "Office"
    assert sorted(vault.name for vault in world.second().vaults()) == ["Office", "Personal"]


def test_without_a_name_things_go_into_the_first_vault_while_it_is_known(world):
    world.laptop.create_vault("Work")

    item = world.laptop.add("login", *mail())

    assert [found.id for found in world.laptop.items(vault="Personal")] == [item.id]
    world.laptop.rename_vault("Personal", "Home")
    with pytest.raises(Ambiguous):
        world.laptop.add("login", *mail())


def test_many_items_go_in_batches_and_say_how_far_they_are(world):
    drafts = [Draft("login", *mail(f"Item {n}")) for n in range(1500)]
    told = []

    added = world.laptop.add_many(drafts, progress=lambda *far: told.append(far))

    assert [item.title for item in added] == [draft.overview["title"] for draft in drafts]
    assert told == [(1000, 1500), (1500, 1500)]
    assert len(world.sent("POST", "/changes")) == 2
    world.server.page = 300
    assert len(world.second().items()) == 1500


def test_large_items_go_in_smaller_batches(world):
    drafts = [Draft("note", {"title": str(n)}, {"notes": "x" * 50_000}) for n in range(250)]

    world.laptop.add_many(drafts)

    sent = world.sent("POST", "/changes")
    assert len(sent) == 2
    assert max(map(len, sent)) < 16 * 1024 * 1024


def test_one_draft_that_fits_no_schema_stops_them_all(world):
    drafts = [Draft("login", *mail()), Draft("login", {}, {})]

    with pytest.raises(ItemInvalid):
        world.laptop.add_many(drafts)

    assert world.laptop.items() == []


@pytest.mark.parametrize("ending", ["/trash", "/changes"])
def test_a_lost_answer_to_a_write_is_asked_for_again_with_the_same_bytes(world, ending):
    world.laptop.add("login", *mail())
    world.server.lose = [("POST", ending)]

    if ending == "/trash":
        world.laptop.trash("Mail")
    else:
        world.laptop.add_many([Draft("login", *mail(str(n))) for n in range(2)])

    first, second = world.sent("POST", ending)
    assert first == second
    assert len(world.laptop.items(state="any")) == (1 if ending == "/trash" else 3)


def test_a_vault_whose_making_was_lost_is_made_with_the_same_keys(world):
    world.server.lose = [("POST", "/vaults")] * 4
    with pytest.raises(ServerUnreachable):
        world.laptop.create_vault("Work")

    names = sorted(report.name for report in world.laptop.sync())

    assert names == ["Personal", "Work"]
    assert len(set(world.sent("POST", "/vaults")[1:])) == 1
    assert len(world.server.vaults) == 2


def test_a_lost_answer_to_the_profile_is_no_failure(world):
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


def test_the_profile_is_written_by_each_command_that_moved_a_head_without_an_agent(world):
    world.laptop.close()
    before = world.server.account["profile"]["revision"]
    for _ in range(2):
        with world.device("laptop") as again:
            again.unlock(PASSWORD)
            again.add("login", *mail())

    assert world.server.account["profile"]["revision"] == before + 2


def test_nothing_new_is_a_304_and_writes_no_profile(world):
    world.laptop.sync()
    before = len(world.server.requests)

    world.laptop.sync()

    asked = [path.rpartition("/")[2] for _, path, _ in world.server.requests[before:]]
    assert asked == ["me", "vaults", "sync"]


def test_a_void_access_token_is_renewed_once(world):
    for session in world.server.sessions.values():
        session["access"] = "void"

    assert world.laptop.items() == []
    assert len(world.sent("POST", "/auth/refresh")) == 1


def test_an_ended_session_says_log_in_again_and_the_cache_stays(world):
    world.laptop.add("login", *mail())
    world.server.sessions.clear()

    with pytest.raises(SessionEnded):
        world.laptop.items()

    assert len(world.laptop.items(offline=True)) == 1
    world.laptop.login(EMAIL, PASSWORD)
    assert len(world.laptop.items()) == 1


def test_logout_ends_the_session_and_keeps_pins_and_cache(world):
    world.laptop.add("login", *mail())

    world.laptop.logout()

    assert world.server.sessions == {}
    again = world.device("laptop")
    again.unlock(PASSWORD)
    assert len(again.items(offline=True)) == 1
    with pytest.raises(SessionEnded):
        again.items()


def test_an_account_without_a_secret_key_says_so_itself(tmp_path):
    server = FakeServer()
    first = Vaultr(URL, home=tmp_path / "a", transport=server.transport(), agent=False)
    assert first.signup(EMAIL, PASSWORD, secret_key=False).secret_key is None
    first.verify("token0")

    second = Vaultr(URL, home=tmp_path / "b", transport=server.transport(), agent=False)
    second.login(EMAIL, PASSWORD, has_secret_key=False)

    assert second.items() == []


def test_what_lay_in_the_trash_for_thirty_days_is_removed(world, monkeypatch):
    world.laptop.add("login", *mail())
    world.laptop.trash("Mail")
    world.laptop.sync()
    assert len(world.laptop.items(state="trash")) == 1
    monkeypatch.setattr("vaultr.client.vaults.TRASH_DAYS", 0)

    world.laptop.sync()

    assert world.laptop.items(state="any") == []
