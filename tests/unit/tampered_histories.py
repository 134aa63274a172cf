"""Ways in which a malicious server can falsify the history of `sample_vault`."""

import copy

from tests.unit.sample_device import ACCOUNT, VAULT, WRAP, Device
from tests.unit.sample_vault import IDS, put
from vaultr.client.crypto.keys import VaultKeys
from vaultr.protocol.encoding import b64


def item(answers, item_id):
    """Find an item in the pages."""
    return next(each for page in answers for each in page["items"] if each["id"] == str(item_id))


def drop_an_item(answers, sample):
    answers[0]["items"].pop(0)


def show_an_item_twice(answers, sample):
    answers[0]["items"].append(copy.deepcopy(answers[0]["items"][0]))


def show_an_item_twice_under_two_revisions(answers, sample):
    answers[0]["items"].append(item(answers, IDS[1]) | {"revision": 8})


def swap_two_contents(answers, sample):
    one, other = item(answers, IDS[1]), item(answers, IDS[6])
    one["detail"], other["detail"] = other["detail"], one["detail"]


def swap_two_ids(answers, sample):
    one, other = item(answers, IDS[1]), item(answers, IDS[6])
    one["id"], other["id"] = other["id"], one["id"]


def show_an_older_item(answers, sample):
    item(answers, IDS[1]).update(sample.old.items[IDS[1]])


def show_older_parts_as_new(answers, sample):
    old = sample.old.items[IDS[1]]
    item(answers, IDS[1]).update(overview=old["overview"], detail=old["detail"])


def bring_one_back_from_the_trash(answers, sample):
    item(answers, IDS[2])["state"] = "active"


def put_one_into_the_trash(answers, sample):
    item(answers, IDS[3])["state"] = "trash"


def add_an_item_of_its_own(answers, sample):
    answers[0]["items"].append(item(answers, IDS[1]) | {"id": str(IDS[9]), "revision": 8})


def change_the_type(answers, sample):
    item(answers, IDS[1])["type"] = "note"


def change_the_generation_of_an_item(answers, sample):
    item(answers, IDS[1])["generation"] = 2


def change_the_content_revision(answers, sample):
    item(answers, IDS[1])["content_revision"] = 5


def show_the_old_name(answers, sample):
    answers[0]["vault"].update(
        overview=sample.old.stored["overview"], overview_revision=0, overview_generation=1
    )


def show_the_old_name_as_new(answers, sample):
    answers[0]["vault"]["overview"] = sample.old.stored["overview"]


def claim_another_generation(answers, sample):
    answers[0]["vault"]["generation"] = 2


def claim_another_head(answers, sample):
    answers[0]["head"] = answers[0]["vault"]["head"] = b64(bytes(32))


def claim_to_be_further(answers, sample):
    answers[0].update(revision=13, through=13)
    answers[0]["vault"]["revision"] = 13


def show_no_last_entry(answers, sample):
    answers[0]["head_entry"] = None


def keep_the_last_page_back(answers, sample):
    answers[0]["more"] = True


def drop_every_item(answers, sample):
    answers[0]["items"].clear()


def swap_overview_and_detail(answers, sample):
    one = item(answers, IDS[1])
    one["overview"], one["detail"] = one["detail"], one["overview"]


def show_an_older_detail_only(answers, sample):
    item(answers, IDS[1])["detail"] = sample.old.items[IDS[1]]["detail"]


def show_two_wraps_of_one_generation(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 1)
    answers[0]["vault"]["keys"].append({"generation": 1, "sealed_key": b64(sealed)})


def show_another_wrap(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 1)
    answers[0]["vault"]["keys"] = [{"generation": 1, "sealed_key": b64(sealed)}]


def claim_another_head_for_the_vault_only(answers, sample):
    answers[0]["vault"]["head"] = b64(bytes(32))


def show_another_vault(answers, sample):
    answers[0]["vault"]["id"] = str(IDS[0])


def add_an_item_of_another_vault(answers, sample):
    ann, other = Device.with_new_vault()
    ann.write(other, *[put(ann, each) for each in IDS[:8]])
    answers[0]["items"].append(other.items[IDS[7]] | {"revision": 8})


def bring_a_removed_one_back(answers, sample):
    answers[0]["removed"].clear()
    answers[0]["items"].append(copy.deepcopy(sample.old.items[IDS[4]]) | {"revision": 10})


def use_the_id_of_the_vault_itself(answers, sample):
    item(answers, IDS[1])["id"] = "00000000-0000-0000-0000-000000000000"


def forge_the_last_entry(answers, sample):
    answers[0]["head_entry"] = sample.server.entries[-1] | {"mac": b64(bytes(32))}


def show_the_wraps_of_another_vault(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, IDS[0], 1)
    answers[0]["vault"]["keys"] = [{"generation": 1, "sealed_key": b64(sealed)}]


def show_keys_of_a_generation_not_begun(answers, sample):
    sealed = VaultKeys.new().wrap(WRAP, ACCOUNT, VAULT, 2)
    answers[0]["vault"]["keys"].append({"generation": 2, "sealed_key": b64(sealed)})


ABOUT_ANY_SYNC = (
    show_keys_of_a_generation_not_begun,
    drop_an_item,
    show_an_item_twice,
    show_an_item_twice_under_two_revisions,
    swap_two_contents,
    swap_two_ids,
    show_an_older_item,
    show_older_parts_as_new,
    bring_one_back_from_the_trash,
    put_one_into_the_trash,
    add_an_item_of_its_own,
    change_the_type,
    change_the_generation_of_an_item,
    change_the_content_revision,
    show_the_old_name,
    show_the_old_name_as_new,
    claim_another_generation,
    claim_another_head,
    claim_to_be_further,
    show_no_last_entry,
    keep_the_last_page_back,
    drop_every_item,
    swap_overview_and_detail,
    show_an_older_detail_only,
    show_two_wraps_of_one_generation,
    show_another_wrap,
    claim_another_head_for_the_vault_only,
    show_another_vault,
    add_an_item_of_another_vault,
    bring_a_removed_one_back,
    use_the_id_of_the_vault_itself,
    forge_the_last_entry,
    show_the_wraps_of_another_vault,
)
