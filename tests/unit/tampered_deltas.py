"""Ways in which a malicious server can falsify a delta since revision 5."""

from tests.unit.sample_device import Device
from tests.unit.sample_vault import IDS, chained
from tests.unit.tampered_histories import item


def keep_quiet_about_a_removal(answers, sample):
    answers[0]["removed"].clear()


def report_a_removal_without_entry(answers, sample):
    answers[0]["items"] = [each for each in answers[0]["items"] if each["id"] != str(IDS[1])]
    answers[0]["removed"].append({"id": str(IDS[1]), "revision": 6})


def remove_one_at_the_revision_of_the_rename(answers, sample):
    answers[0]["removed"].append({"id": str(IDS[0]), "revision": 12})


def show_another_revision_of_a_removal(answers, sample):
    answers[0]["removed"][0]["revision"] = 12


def change_the_revision(answers, sample):
    item(answers, IDS[1])["revision"] = 12


def claim_another_revision_of_the_name(answers, sample):
    answers[0]["vault"]["overview_revision"] = 11


def claim_another_generation_of_the_name(answers, sample):
    answers[0]["vault"]["overview_generation"] = 2


def leave_out_the_last_entry(answers, sample):
    answers[0]["entries"].pop()


def leave_out_an_entry(answers, sample):
    answers[0]["entries"].pop(2)


def leave_out_an_entry_and_renumber(answers, sample):
    answers[0]["entries"].pop(2)
    for n, entry in enumerate(answers[0]["entries"], 6):
        entry["n"] = n
    answers[0].update(revision=11, through=11)
    answers[0]["vault"]["revision"] = 11
    chained(answers, sample.held.state.head)


def repeat_an_entry(answers, sample):
    answers[0]["entries"].insert(2, answers[0]["entries"][1])


def reorder_two_entries(answers, sample):
    entries = answers[0]["entries"]
    entries[1], entries[2] = entries[2], entries[1]


def reorder_two_entries_and_relink(answers, sample):
    reorder_two_entries(answers, sample)
    for n, entry in enumerate(answers[0]["entries"], 6):
        entry["n"] = n
    chained(answers, sample.held.state.head)


def show_the_last_entry_of_before(answers, sample):
    answers[0]["head_entry"] = answers[0]["entries"][0]


def go_back_to_revision_5(answers, sample):
    answers[:] = sample.old.sync(5)


def show_the_full_set_instead(answers, sample):
    answers[:] = sample.server.sync(0)


def show_an_empty_vault(answers, sample):
    _, empty = Device.with_new_vault()
    answers[:] = empty.sync(0)


ABOUT_A_DELTA = (
    keep_quiet_about_a_removal,
    report_a_removal_without_entry,
    remove_one_at_the_revision_of_the_rename,
    show_another_revision_of_a_removal,
    change_the_revision,
    claim_another_revision_of_the_name,
    claim_another_generation_of_the_name,
    leave_out_the_last_entry,
    leave_out_an_entry,
    leave_out_an_entry_and_renumber,
    repeat_an_entry,
    reorder_two_entries,
    reorder_two_entries_and_relink,
    show_the_last_entry_of_before,
    go_back_to_revision_5,
    show_the_full_set_instead,
    show_an_empty_vault,
)
