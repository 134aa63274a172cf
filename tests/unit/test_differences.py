from dataclasses import replace

import pytest

from tests.harness.client import sample_vault
from tests.harness.client.sample_device import VAULT
from tests.harness.client.sample_vault import IDS, put
from vaultr.client.log import pages
from vaultr.client.log.differences import explain
from vaultr.client.log.entries import short_head


@pytest.fixture
def sample():
    return sample_vault.create()


def test_two_equal_sets_have_no_difference(sample):
    shown = pages.gather(VAULT, sample.server.sync(), since=0)

    assert explain(sample.ann.state, shown) == []


def test_rollback_is_explained_item_by_item(sample):
    shown = pages.gather(VAULT, sample.old.sync(), since=0)

    reported = {str(each.item_id): each.how for each in explain(sample.ann.state, shown)[2:]}

    assert reported == {
        str(IDS[1]): "older content: revision 2, this device has 6",
        str(IDS[2]): "active, on this device in the trash",
        str(IDS[3]): "revision 4, this device has 9",
        str(IDS[4]): "only the server has it",
        str(IDS[6]): "the server does not have it (this device has revision 11)",
    }


def test_explanation_starts_with_vault_and_both_heads(sample):
    shown = pages.gather(VAULT, sample.old.sync(), since=0)

    behind, name, *_ = explain(sample.ann.state, shown)

    assert behind.item_id is None
    assert behind.how.startswith("the server is behind")
    assert short_head(sample.server.head) in behind.how
    assert short_head(sample.old.head) in behind.how
    assert str(name) == "the vault: a different name: revision 0, this device has revision 12"


def test_newer_server_state_is_reported(sample):
    shown = pages.gather(VAULT, sample.server.sync(), since=0)

    differences = [str(each) for each in explain(sample.held.state, shown)]

    assert differences[0].startswith("the vault: the server is ahead")
    assert f"{IDS[1]}: newer content: revision 6, this device has 2" in differences


def test_diverged_histories_differ_from_inconsistent_state(sample):
    bob = sample.held.twin()
    bob.write(sample.old, *[put(bob, each, "bob") for each in IDS[:7]])
    shown = pages.gather(VAULT, sample.old.sync(), since=0)

    assert explain(sample.ann.state, shown)[0].how.startswith("another history")


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({"content": bytes(32)}, "another content with the same revision 6"),
        ({"type": "note"}, "type note, this device has login"),
        ({"generation": 2}, "encrypted with version 2 of the keys, this device has 1"),
        ({"state": "trash"}, "in the trash, on this device active"),
    ],
)
def test_each_kind_of_difference_has_its_own_text(sample, change, how):
    items = dict(sample.ann.state.items)
    items[IDS[1]] = replace(items[IDS[1]], **change)

    differences = explain(sample.ann.state, replace(sample.ann.state, items=items))

    assert [each.how for each in differences] == [how]


def test_other_vault_generation_is_reported(sample):
    shown = replace(sample.ann.state, generation=2)

    assert "version 2 of the keys, this device has 1" in [
        each.how for each in explain(sample.ann.state, shown)
    ]
