"""Ways in which a malicious server can falsify a delta since revision 5."""

from tests.harness.client.sample_device import Device
from tests.harness.client.sample_vault import IDS, chained
from tests.harness.client.tampered_histories import item


def omit_removal(answers, sample):
    answers[0]["removed"].clear()


def add_removal_without_entry(answers, sample):
    answers[0]["items"] = [each for each in answers[0]["items"] if each["id"] != str(IDS[1])]
    answers[0]["removed"].append({"id": str(IDS[1]), "revision": 6})


def add_removal_at_rename_revision(answers, sample):
    answers[0]["removed"].append({"id": str(IDS[0]), "revision": 12})


def change_revision_of_removal(answers, sample):
    answers[0]["removed"][0]["revision"] = 12


def change_revision_of_item(answers, sample):
    item(answers, IDS[1])["revision"] = 12


def change_overview_revision(answers, sample):
    answers[0]["vault"]["overview_revision"] = 11


def change_overview_generation(answers, sample):
    answers[0]["vault"]["overview_generation"] = 2


def omit_last_entry(answers, sample):
    answers[0]["entries"].pop()


def omit_entry(answers, sample):
    answers[0]["entries"].pop(2)


def omit_entry_and_renumber(answers, sample):
    answers[0]["entries"].pop(2)
    for n, entry in enumerate(answers[0]["entries"], 6):
        entry["n"] = n
    answers[0].update(revision=11, through=11)
    answers[0]["vault"]["revision"] = 11
    chained(answers, sample.held.state.head)


def repeat_entry(answers, sample):
    answers[0]["entries"].insert(2, answers[0]["entries"][1])


def reorder_entries(answers, sample):
    entries = answers[0]["entries"]
    entries[1], entries[2] = entries[2], entries[1]


def reorder_entries_and_relink(answers, sample):
    reorder_entries(answers, sample)
    for n, entry in enumerate(answers[0]["entries"], 6):
        entry["n"] = n
    chained(answers, sample.held.state.head)


def replace_head_entry_by_older_one(answers, sample):
    answers[0]["head_entry"] = answers[0]["entries"][0]


def roll_back_to_revision_5(answers, sample):
    answers[:] = sample.old.sync(5)


def return_full_set(answers, sample):
    answers[:] = sample.server.sync(0)


def return_empty_vault(answers, sample):
    _, empty = Device.with_new_vault()
    answers[:] = empty.sync(0)


ATTACKS_ON_DELTA = (
    omit_removal,
    add_removal_without_entry,
    add_removal_at_rename_revision,
    change_revision_of_removal,
    change_revision_of_item,
    change_overview_revision,
    change_overview_generation,
    omit_last_entry,
    omit_entry,
    omit_entry_and_renumber,
    repeat_entry,
    reorder_entries,
    reorder_entries_and_relink,
    replace_head_entry_by_older_one,
    roll_back_to_revision_5,
    return_full_set,
    return_empty_vault,
)
