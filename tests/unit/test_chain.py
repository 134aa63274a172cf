"""A cheating server against a device that holds a state: each lie must raise."""

import copy
from dataclasses import replace

import pytest

from tests.unit import story
from tests.unit.little_server import ACCOUNT, VAULT, WRAP, Device
from tests.unit.story import IDS, chained, put, rename
from vaultr.client import verify, write
from vaultr.client.errors import ChainBroken, IntegrityError, RolledBack, StateMismatch
from vaultr.client.keys import VaultKeys
from vaultr.client.log import SignedEntry, Waypoint, short_head, vouch
from vaultr.client.write import Change
from vaultr.protocol.encoding import b64, unb64


@pytest.fixture
def told():
    return story.told()


def item(answers, item_id):
    return next(each for page in answers for each in page["items"] if each["id"] == str(item_id))


def drop_an_item(answers, told):
    answers[0]["items"].pop(0)


def drop_every_item(answers, told):
    answers[0]["items"].clear()


def show_an_item_twice(answers, told):
    answers[0]["items"].append(copy.deepcopy(answers[0]["items"][0]))


def show_an_item_twice_under_two_revisions(answers, told):
    answers[0]["items"].append(answers[0]["items"][0] | {"revision": 10})


def swap_two_contents(answers, told):
    one, other = item(answers, IDS[1]), item(answers, IDS[6])
    one["detail"], other["detail"] = other["detail"], one["detail"]


def swap_two_ids(answers, told):
    one, other = item(answers, IDS[1]), item(answers, IDS[6])
    one["id"], other["id"] = other["id"], one["id"]


def swap_overview_and_detail(answers, told):
    one = item(answers, IDS[1])
    one["overview"], one["detail"] = one["detail"], one["overview"]


def show_an_older_item(answers, told):
    item(answers, IDS[1]).update(told.old.items[IDS[1]])


def show_older_parts_as_new(answers, told):
    old = told.old.items[IDS[1]]
    item(answers, IDS[1]).update(overview=old["overview"], detail=old["detail"])


def show_an_older_detail_only(answers, told):
    item(answers, IDS[1])["detail"] = told.old.items[IDS[1]]["detail"]


def bring_one_back_from_the_trash(answers, told):
    item(answers, IDS[2])["state"] = "active"


def put_one_into_the_trash(answers, told):
    item(answers, IDS[3])["state"] = "trash"


def bring_a_removed_one_back(answers, told):
    answers[0]["removed"].clear()
    answers[0]["items"].append(copy.deepcopy(told.old.items[IDS[4]]) | {"revision": 10})


def keep_quiet_about_a_removal(answers, told):
    answers[0]["removed"].clear()


def remove_one_that_nobody_removed(answers, told):
    answers[0]["items"] = [each for each in answers[0]["items"] if each["id"] != str(IDS[1])]
    answers[0]["removed"].append({"id": str(IDS[1]), "revision": 6})


def remove_one_at_the_revision_of_the_rename(answers, told):
    answers[0]["removed"].append({"id": str(IDS[0]), "revision": 12})


def show_another_revision_of_a_removal(answers, told):
    answers[0]["removed"][0]["revision"] = 12


def add_an_item_of_its_own(answers, told):
    added = copy.deepcopy(item(answers, IDS[6])) | {"id": str(IDS[9]), "revision": 12}
    answers[0]["items"].append(added)


def add_an_item_of_another_vault(answers, told):
    ann, other = Device.with_new_vault()
    ann.write(other, *[put(ann, each) for each in IDS[:8]])
    answers[0]["items"].append(other.items[IDS[7]] | {"revision": 12, "content_revision": 12})


def change_the_type(answers, told):
    item(answers, IDS[1])["type"] = "note"


def change_the_generation_of_an_item(answers, told):
    item(answers, IDS[1])["generation"] = 2


def change_the_content_revision(answers, told):
    item(answers, IDS[1])["content_revision"] = 5


def change_the_revision(answers, told):
    item(answers, IDS[1])["revision"] = 12


def show_the_old_name(answers, told):
    answers[0]["vault"].update(
        overview=told.old.overview["overview"], overview_revision=0, overview_generation=1
    )


def show_the_old_name_as_new(answers, told):
    answers[0]["vault"]["overview"] = told.old.overview["overview"]


def claim_another_revision_of_the_name(answers, told):
    answers[0]["vault"]["overview_revision"] = 11


def claim_another_generation_of_the_name(answers, told):
    answers[0]["vault"]["overview_generation"] = 2


def claim_another_generation(answers, told):
    answers[0]["vault"]["generation"] = 2


def claim_another_head(answers, told):
    answers[0]["head"] = answers[0]["vault"]["head"] = b64(bytes(32))


def claim_another_head_for_the_vault_only(answers, told):
    answers[0]["vault"]["head"] = b64(bytes(32))


def claim_to_be_further(answers, told):
    answers[0].update(revision=13, through=13)
    answers[0]["vault"]["revision"] = 13


def show_another_vault(answers, told):
    answers[0]["vault"]["id"] = str(IDS[0])


def leave_out_the_last_entry(answers, told):
    answers[0]["entries"].pop()


def leave_out_an_entry(answers, told):
    answers[0]["entries"].pop(2)


def leave_out_an_entry_and_number_anew(answers, told):
    answers[0]["entries"].pop(2)
    for n, entry in enumerate(answers[0]["entries"], 6):
        entry["n"] = n
    answers[0].update(revision=11, through=11)
    answers[0]["vault"]["revision"] = 11
    chained(answers, told.held.state.head)


def repeat_an_entry(answers, told):
    answers[0]["entries"].insert(2, answers[0]["entries"][1])


def reorder_two_entries(answers, told):
    entries = answers[0]["entries"]
    entries[1], entries[2] = entries[2], entries[1]


def reorder_two_entries_and_link_anew(answers, told):
    reorder_two_entries(answers, told)
    for n, entry in enumerate(answers[0]["entries"], 6):
        entry["n"] = n
    chained(answers, told.held.state.head)


def show_the_last_entry_of_before(answers, told):
    answers[0]["head_entry"] = answers[0]["entries"][0]


def show_no_last_entry(answers, told):
    answers[0]["head_entry"] = None


def show_two_wraps_of_one_generation(answers, told):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 1)
    answers[0]["vault"]["keys"].append({"generation": 1, "sealed_key": b64(sealed)})


def show_another_wrap(answers, told):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 1)
    answers[0]["vault"]["keys"] = [{"generation": 1, "sealed_key": b64(sealed)}]


def keep_the_last_page_back(answers, told):
    answers[0]["more"] = True


def go_back_to_revision_5(answers, told):
    answers[:] = told.old.sync(5)


def show_the_full_set_instead(answers, told):
    answers[:] = told.server.sync(0)


def show_an_empty_vault(answers, told):
    _, empty = Device.with_new_vault()
    answers[:] = empty.sync(0)


CHEATS = [
    each
    for name, each in list(globals().items())
    if callable(each)
    and getattr(each, "__module__", "") == __name__
    and getattr(each, "__code__", None)
    and each.__code__.co_varnames[:2] == ("answers", "told")
]


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_server_cannot(cheat, told):
    answers = told.server.sync(5)
    before = told.held.state
    known = Waypoint(12, told.server.head, 1) if cheat is go_back_to_revision_5 else None
    cheat(answers, told)

    with pytest.raises(IntegrityError):
        told.held.judge(answers, known)

    assert told.held.state is before


def test_an_honest_delta_leads_to_the_state_of_the_writer(told):
    synced = told.held.judge(told.server.sync(5))

    assert synced.state == told.ann.state
    assert set(synced.rows) == {IDS[1], IDS[2], IDS[3], IDS[6]}
    assert synced.removed == {IDS[4]}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
def test_an_honest_delta_may_come_in_pages(told, limit):
    assert told.held.sync(told.server, limit=limit) == told.ann.state


def test_a_write_between_two_pages_is_followed(told):
    first = told.server.sync(5, limit=3)[:1]
    told.ann.write(told.server, put(told.ann, IDS[1], "again"))

    told.held.judge([*first, *told.server.sync(8)])

    assert told.held.state == told.ann.state


def test_nothing_new_is_no_change(told):
    told.held.sync(told.server)
    before = told.held.state

    synced = told.held.judge(told.server.sync(12))

    assert synced.state == before
    assert synced.rows == {}


@pytest.mark.parametrize("relink", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("op", "restore"),
        ("item_id", str(IDS[0])),
        ("item_id", None),
        ("content_revision", 5),
        ("content", b64(bytes(32))),
        ("generation", 2),
        ("author_id", str(IDS[0])),
        ("vouch", b64(bytes(32))),
        ("mac", b64(bytes(32))),
        ("n", 13),
    ],
)
def test_no_field_of_an_entry_can_be_changed(told, name, value, relink):
    for place in range(7):
        answers = told.server.sync(5)
        entry = answers[0]["entries"][place]
        if entry[name] == value:
            continue
        entry[name] = value
        if relink:
            chained(answers, told.held.state.head)

        with pytest.raises(IntegrityError):
            told.held.judge(answers)


def test_pages_out_of_order_are_refused(told):
    pages = told.server.sync(5, limit=3)

    with pytest.raises(IntegrityError):
        told.held.judge([pages[1], pages[0], pages[2]])


def test_pages_that_lead_nowhere_end(told):
    page = told.server.sync(5, limit=3)[0]

    def forever():
        while True:
            yield copy.deepcopy(page)

    with pytest.raises(IntegrityError):
        told.held.judge(forever())


def test_a_server_that_goes_back_between_two_pages_is_caught(told):
    first = told.server.sync(5, limit=3)[:1]
    old_but_later = copy.deepcopy(told.old)
    device = Device(dict(told.held.keys), told.held.state)
    device.write(old_but_later, *[put(device, each) for each in IDS[5:9]])

    with pytest.raises(RolledBack):
        told.held.judge([*first, *old_but_later.sync(8)])


def test_a_lower_revision_is_a_rollback_that_names_both_heads(told):
    told.held.sync(told.server)

    with pytest.raises(IntegrityError):
        told.held.judge(told.old.sync(4))
    with pytest.raises(RolledBack) as caught:
        verify.take_delta(told.held.state, shown_of(told.old), told.held.keys, None)

    assert short_head(told.server.head) in str(caught.value)
    assert short_head(told.old.head) in str(caught.value)
    assert caught.value.vault_id == VAULT


def shown_of(server):
    shown = verify.Shown(vault_id=VAULT, since=12, through=12)
    shown.n, shown.head, shown.generation = server.n, server.head, server.generation
    return shown


def test_two_histories_of_one_vault_are_a_fork(told):
    other = copy.deepcopy(told.old)
    bob = told.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in IDS[:9]])
    told.held.sync(told.server)

    with pytest.raises(ChainBroken):
        told.held.judge(other.sync(12))


def test_a_fork_at_the_same_revision_is_seen(told):
    other = copy.deepcopy(told.old)
    bob = told.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in IDS[:7]])
    told.held.sync(told.server)

    with pytest.raises(ChainBroken):
        told.held.judge(other.sync(12))


def sign_last(told, device, **changes):
    """Sign a further entry with the vault's own keys: a writer that breaks the rules."""
    batch = write.prepare(device.state, [Change.repair()], keys=device.keys, author_id=ACCOUNT)
    entry = replace(batch.last.signed.entry, **changes)
    lk = device.keys[entry.generation].lk
    return SignedEntry.make(lk, entry)


def told_of(answers, signed):
    page = answers[-1]
    entry = signed.to_json() | {
        "op": str(signed.entry.op),
        "item_id": str(signed.entry.item_id) if signed.entry.item_id else None,
        "content_revision": signed.entry.content_revision,
        "content": b64(signed.entry.content),
        "generation": signed.entry.generation,
        "author_id": str(ACCOUNT),
        "head": b64(signed.head),
    }
    page["entries"].append(entry)
    page["head_entry"] = entry
    page["head"] = page["vault"]["head"] = b64(signed.head)
    page["revision"] = page["through"] = page["vault"]["revision"] = signed.entry.n
    return answers


@pytest.mark.parametrize(
    ("op", "item_id"),
    [
        ("put", IDS[2]),  # in the trash
        ("put", IDS[4]),  # removed, in the same delta
        ("restore", IDS[1]),  # active
        ("restore", IDS[4]),
        ("trash", IDS[2]),
        ("remove", IDS[9]),  # never there
        ("trash", IDS[9]),
    ],
)
def test_a_signed_entry_that_cannot_be_is_refused_all_the_same(told, op, item_id):
    fields = {"op": write.Op(op), "item_id": item_id}
    if op == "put":
        fields |= {"content_revision": 13, "content": bytes(32)}
    if op in ("trash", "restore"):
        fields |= {"content_revision": 3, "content": bytes(32)}
    signed = sign_last(told, told.ann, **fields)

    with pytest.raises(ChainBroken):
        told.held.judge(told_of(told.server.sync(5), signed))


def test_a_signed_restore_cannot_bring_an_older_content_back(told):
    old = told.held.state.items[IDS[1]]
    told.ann.write(told.server, Change.trash(IDS[1]))
    signed = sign_last(
        told,
        told.ann,
        op=write.Op.RESTORE,
        item_id=IDS[1],
        content_revision=old.content_revision,
        content=old.content,
    )

    with pytest.raises(ChainBroken, match="another content"):
        told.held.judge(told_of(told.server.sync(5), signed))


def test_an_entry_that_vouches_for_another_set_is_refused(told):
    total = told.ann.state.total + 1
    signed = sign_last(told, told.ann, vouch=vouch(told.ann.keys[1].lk, VAULT, 13, total))

    with pytest.raises(StateMismatch, match="vouches"):
        told.held.judge(told_of(told.server.sync(5), signed))


def test_a_repair_vouches_for_what_is_there(told):
    told.ann.write(told.server, Change.repair())

    assert told.held.sync(told.server) == told.ann.state


def test_a_new_generation_is_followed_and_summed_anew(told):
    told.ann.write(told.server, Change.rotate_begin())
    told.ann.write(told.server, rename(told.ann, "moved"), put(told.ann, IDS[0], "moved"))
    told.ann.write(told.server, Change.rotate_end())

    assert told.held.sync(told.server) == told.ann.state
    assert told.held.state.generation == 2


def test_a_generation_never_falls_even_when_signed_by_its_old_key(told):
    told.ann.write(told.server, Change.rotate_begin())
    signed = sign_last(told, told.ann, generation=1)

    with pytest.raises(ChainBroken, match="generation 1 after 2"):
        told.held.judge(told_of(told.server.sync(5), signed))


def test_a_generation_rises_by_its_own_entry_only(told):
    told.held.keys[2] = told.ann.keys[2] = VaultKeys.new()
    signed = sign_last(told, told.ann, generation=2)

    with pytest.raises(ChainBroken, match="generation 2 after 1"):
        told.held.judge(told_of(told.server.sync(5), signed))


def test_a_new_generation_without_its_keys_is_refused(told):
    told.ann.write(told.server, Change.rotate_begin())
    answers = told.server.sync(5)
    answers[0]["vault"]["keys"].pop()

    with pytest.raises(StateMismatch, match="generation 2"):
        told.held.judge(answers)


def test_one_item_alone_is_believed_only_as_it_was_verified(told):
    row = copy.deepcopy(told.server.items[IDS[1]])
    state = told.ann.state

    assert verify.check_item(state, row) == state.items[IDS[1]]

    for lie in (
        told.old.items[IDS[1]],
        row | {"detail": told.old.items[IDS[1]]["detail"]},
        row | {"id": str(IDS[0])},
        row | {"type": "note"},
        row | {"state": "trash"},
        row | {"revision": 12},
        row | {"content_revision": 5},
        row | {"id": str(IDS[9])},
        told.old.items[IDS[4]],
    ):
        with pytest.raises(StateMismatch):
            verify.check_item(state, lie)


def test_a_mismatch_names_what_is_held_and_what_is_shown(told):
    answers = told.server.sync(5)
    answers[0]["items"].pop(0)

    with pytest.raises(StateMismatch) as caught:
        told.held.judge(answers)

    assert short_head(told.held.state.head) in str(caught.value)
    assert short_head(unb64(answers[0]["head"])) in str(caught.value)
