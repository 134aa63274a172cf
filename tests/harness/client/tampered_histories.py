"""Ways in which a malicious server can falsify the history of `sample_vault`."""

import copy

from tests.harness.client.sample_device import ACCOUNT, VAULT, WRAP, Device
from tests.harness.client.sample_vault import IDS, put
from vaultr.client.crypto.keys import VaultKeys
from vaultr.protocol.encoding import b64


def item(answers, item_id):
    """Find an item in the pages."""
    return next(each for page in answers for each in page["items"] if each["id"] == str(item_id))


def omit_item(answers, sample):
    answers[0]["items"].pop(0)


def repeat_item(answers, sample):
    answers[0]["items"].append(copy.deepcopy(answers[0]["items"][0]))


def repeat_item_with_other_revision(answers, sample):
    answers[0]["items"].append(item(answers, IDS[1]) | {"revision": 8})


def swap_details(answers, sample):
    one, other = item(answers, IDS[1]), item(answers, IDS[6])
    one["detail"], other["detail"] = other["detail"], one["detail"]


def swap_item_ids(answers, sample):
    one, other = item(answers, IDS[1]), item(answers, IDS[6])
    one["id"], other["id"] = other["id"], one["id"]


def return_older_item(answers, sample):
    item(answers, IDS[1]).update(sample.old.items[IDS[1]])


def return_older_content_as_new(answers, sample):
    old = sample.old.items[IDS[1]]
    item(answers, IDS[1]).update(overview=old["overview"], detail=old["detail"])


def activate_trashed_item(answers, sample):
    item(answers, IDS[2])["state"] = "active"


def trash_active_item(answers, sample):
    item(answers, IDS[3])["state"] = "trash"


def add_copied_item(answers, sample):
    answers[0]["items"].append(item(answers, IDS[1]) | {"id": str(IDS[9]), "revision": 8})


def change_item_type(answers, sample):
    item(answers, IDS[1])["type"] = "note"


def change_item_generation(answers, sample):
    item(answers, IDS[1])["generation"] = 2


def change_content_revision(answers, sample):
    item(answers, IDS[1])["content_revision"] = 5


def return_old_name(answers, sample):
    answers[0]["vault"].update(
        overview=sample.old.stored["overview"], overview_revision=0, overview_generation=1
    )


def return_old_name_as_new(answers, sample):
    answers[0]["vault"]["overview"] = sample.old.stored["overview"]


def change_vault_generation(answers, sample):
    answers[0]["vault"]["generation"] = 2


def change_head(answers, sample):
    answers[0]["head"] = answers[0]["vault"]["head"] = b64(bytes(32))


def claim_later_revision(answers, sample):
    answers[0].update(revision=13, through=13)
    answers[0]["vault"]["revision"] = 13


def omit_head_entry(answers, sample):
    answers[0]["head_entry"] = None


def withhold_last_page(answers, sample):
    answers[0]["more"] = True


def omit_all_items(answers, sample):
    answers[0]["items"].clear()


def swap_overview_and_detail(answers, sample):
    one = item(answers, IDS[1])
    one["overview"], one["detail"] = one["detail"], one["overview"]


def return_older_detail(answers, sample):
    item(answers, IDS[1])["detail"] = sample.old.items[IDS[1]]["detail"]


def return_two_wraps_of_one_generation(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 1)
    answers[0]["vault"]["keys"].append({"generation": 1, "sealed_key": b64(sealed)})


def replace_wrap(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 1)
    answers[0]["vault"]["keys"] = [{"generation": 1, "sealed_key": b64(sealed)}]


def change_head_of_vault_only(answers, sample):
    answers[0]["vault"]["head"] = b64(bytes(32))


def return_other_vault_id(answers, sample):
    answers[0]["vault"]["id"] = str(IDS[0])


def add_item_of_other_vault(answers, sample):
    ann, other = Device.with_new_vault()
    ann.write(other, *[put(ann, each) for each in IDS[:8]])
    answers[0]["items"].append(other.items[IDS[7]] | {"revision": 8})


def return_removed_item(answers, sample):
    answers[0]["removed"].clear()
    answers[0]["items"].append(copy.deepcopy(sample.old.items[IDS[4]]) | {"revision": 10})


def use_nil_item_id(answers, sample):
    item(answers, IDS[1])["id"] = "00000000-0000-0000-0000-000000000000"


def forge_head_entry(answers, sample):
    answers[0]["head_entry"] = sample.server.entries[-1] | {"mac": b64(bytes(32))}


def return_wrap_of_other_vault(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, IDS[0], 1)
    answers[0]["vault"]["keys"] = [{"generation": 1, "sealed_key": b64(sealed)}]


def return_wrap_of_future_generation(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 2)
    answers[0]["vault"]["keys"].append({"generation": 2, "sealed_key": b64(sealed)})


ATTACKS_ON_ANY_SYNC = (
    return_wrap_of_future_generation,
    omit_item,
    repeat_item,
    repeat_item_with_other_revision,
    swap_details,
    swap_item_ids,
    return_older_item,
    return_older_content_as_new,
    activate_trashed_item,
    trash_active_item,
    add_copied_item,
    change_item_type,
    change_item_generation,
    change_content_revision,
    return_old_name,
    return_old_name_as_new,
    change_vault_generation,
    change_head,
    claim_later_revision,
    omit_head_entry,
    withhold_last_page,
    omit_all_items,
    swap_overview_and_detail,
    return_older_detail,
    return_two_wraps_of_one_generation,
    replace_wrap,
    change_head_of_vault_only,
    return_other_vault_id,
    add_item_of_other_vault,
    return_removed_item,
    use_nil_item_id,
    forge_head_entry,
    return_wrap_of_other_vault,
)
