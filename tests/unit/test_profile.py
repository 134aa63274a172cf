import json
from dataclasses import replace
from uuid import UUID

import pytest

from tests.harness.client.sample_vault import IDS
from vaultr.client.crypto import aad
from vaultr.client.crypto.seal import seal
from vaultr.client.errors import (
    AnswerInvalid,
    ChainBroken,
    RolledBack,
    SealBroken,
)
from vaultr.client.log.entries import Waypoint
from vaultr.client.storage.pins import Derivation, Pins
from vaultr.client.storage.profile import (
    DELETED,
    ProfileTooNew,
    accept_profile,
    merge_profiles,
    new_profile,
    open_profile,
    seal_profile,
)
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import Kdf

ACCOUNT, OTHER = UUID(int=1), UUID(int=2)
A, B, C = IDS[:3]
WRAP = bytes(range(32))
PINS = Pins.of(
    Derivation(ACCOUNT, Kdf.RECOMMENDED, bytes(range(32))),
    origin="https://vault.example",
    secret_key=True,
)


def head(n, mark=0, generation=1):
    return Waypoint(n, bytes([n, mark]) * 16, generation)


def written(profile, revision):
    return seal_profile(WRAP, ACCOUNT, profile, revision)


@pytest.fixture
def profile():
    return written(new_profile(PINS).with_head(A, head(5)).with_deleted(B), 3)


def test_sealed_profile_opens_unchanged(profile):
    opened = open_profile(WRAP, ACCOUNT, 3, profile.sealed)

    assert opened == profile
    assert opened.pins == PINS
    assert opened.vaults == {A: head(5), B: DELETED}
    assert (opened.head_of(A), opened.head_of(B), opened.head_of(C)) == (head(5), None, None)


def test_profile_has_documented_form(profile):
    assert profile.document == {
        "v": 1,
        "pins": {
            "account_id": str(ACCOUNT),
            "origin": "https://vault.example",
            "kdf": {"alg": "argon2id", "m": 65_536, "t": 3, "p": 4},
            "salt_sha256": b64(PINS.salt_sha256),
            "secret_key": True,
        },
        "vaults": {
            str(A): {"n": 5, "head": b64(head(5).head), "generation": 1},
            str(B): "deleted",
        },
        "checkpoint": None,
        "settings": {},
    }


@pytest.mark.parametrize(
    ("wrap", "account", "revision"),
    [(bytes(32), ACCOUNT, 3), (WRAP, OTHER, 3), (WRAP, ACCOUNT, 2), (WRAP, ACCOUNT, 4)],
)
def test_profile_opens_only_with_its_key_account_and_revision(profile, wrap, account, revision):
    with pytest.raises(SealBroken):
        open_profile(wrap, account, revision, profile.sealed)


def test_unknown_fields_are_preserved_everywhere(profile):
    document = json.loads(json.dumps(profile.document))
    document["new"] = {"a": 1}
    document["pins"]["new"] = 2
    document["vaults"][str(A)]["new"] = 3
    newer = written(replace(profile, document=document), 4)

    changed = newer.with_head(A, head(6)).with_deleted(C).with_pins(PINS)
    merged = merge_profiles(profile.with_head(A, head(7)), newer)

    for stored in (changed, merged, open_profile(WRAP, ACCOUNT, 5, written(merged, 5).sealed)):
        assert stored.document["new"] == {"a": 1}
        assert stored.document["pins"]["new"] == 2
        assert stored.document["vaults"][str(A)]["new"] == 3


def test_change_does_not_modify_previous_profile(profile):
    before = json.dumps(profile.document)

    profile.with_head(A, head(6)).with_deleted(A)

    assert json.dumps(profile.document) == before


@pytest.mark.parametrize(
    "change",
    [
        {"v": 0},
        {"v": None},
        {"pins": None},
        {"pins": PINS.to_json() | {"account_id": str(OTHER)}},
        {"vaults": []},
        {"vaults": {"x": "deleted"}},
        {"vaults": {str(A).upper(): "deleted"}},
        {"vaults": {str(A): "gone"}},
        {"vaults": {str(A): {"n": -1, "head": b64(bytes(32)), "generation": 1}}},
        {"vaults": {str(A): {"n": 1, "head": b64(bytes(31)), "generation": 1}}},
        {"vaults": {str(A): {"n": 1, "head": b64(bytes(32)), "generation": 0}}},
    ],
)
def test_malformed_profile_is_rejected(profile, change):
    odd = written(replace(profile, document=profile.document | change), 4)

    with pytest.raises(AnswerInvalid):
        open_profile(WRAP, ACCOUNT, 4, odd.sealed)


def test_profile_that_is_not_json_is_rejected():
    sealed = seal(WRAP, aad.profile(ACCOUNT, 1), b'{"v": 1, "v": 1}')

    with pytest.raises(AnswerInvalid):
        open_profile(WRAP, ACCOUNT, 1, sealed)


def test_profile_of_newer_client_requires_an_update(profile):
    newer = written(replace(profile, document=profile.document | {"v": 2}), 4)

    with pytest.raises(ProfileTooNew, match="Update Vaultr"):
        open_profile(WRAP, ACCOUNT, 4, newer.sealed)


def test_head_in_profile_never_decreases(profile):
    with pytest.raises(ValueError, match="never goes back"):
        profile.with_head(A, head(4))
    with pytest.raises(ValueError, match="never goes back"):
        profile.with_head(B, head(9))


def test_first_profile_is_accepted(profile):
    assert accept_profile(None, profile) is profile


def test_later_profile_is_accepted(profile):
    later = written(profile.with_head(A, head(6)).with_head(C, head(0)), 4)

    assert accept_profile(profile, later) is later
    assert accept_profile(profile, written(profile.with_deleted(A), 4)).vaults[A] is DELETED
    assert accept_profile(profile, profile) is profile


def test_profile_with_lower_revision_is_a_rollback(profile):
    with pytest.raises(RolledBack, match="has seen 3"):
        accept_profile(profile, written(profile, 2))


def test_same_revision_with_other_bytes_is_rejected(profile):
    with pytest.raises(ChainBroken, match="another content"):
        accept_profile(profile, written(profile, 3))


@pytest.mark.parametrize(
    ("vault_id", "noted", "error"),
    [
        (A, None, RolledBack),
        (A, {"n": 4}, RolledBack),
        (A, {"n": 0}, RolledBack),
        (A, {"head": b64(bytes(32))}, ChainBroken),
        (B, None, RolledBack),
        (B, {}, RolledBack),
    ],
)
def test_newer_profile_without_known_entries_is_rejected(profile, vault_id, noted, error):
    vaults = dict(profile.document["vaults"])
    del vaults[str(vault_id)]
    if noted is not None:
        whole = {"n": 5, "head": b64(head(5).head), "generation": 1}
        vaults[str(vault_id)] = whole | noted
    document = profile.document | {"vaults": vaults}

    with pytest.raises(error):
        accept_profile(profile, written(replace(profile, document=document), 4))


def test_lower_generation_in_profile_is_a_rollback(profile):
    ahead = written(profile.with_head(A, head(6, generation=2)), 4)
    behind = written(profile.with_head(A, head(7, generation=1)), 5)

    with pytest.raises(RolledBack):
        accept_profile(ahead, behind)


def test_merge_uses_higher_revision_of_each_vault(profile):
    mine = profile.with_head(A, head(9)).with_head(C, head(2))
    theirs = written(profile.with_head(A, head(7)).with_head(IDS[4], head(4)), 4)

    merged = merge_profiles(mine, theirs)

    assert merged.revision == 4
    assert merged.vaults == {A: head(9), B: DELETED, C: head(2), IDS[4]: head(4)}
    assert merge_profiles(theirs, written(mine, 5)).vaults == merged.vaults


def test_deletion_survives_merge_of_profiles(profile):
    mine = profile.with_deleted(A)
    theirs = written(profile.with_head(A, head(9)), 4)

    assert merge_profiles(mine, theirs).vaults[A] is DELETED
    assert merge_profiles(theirs, written(mine, 5)).vaults[A] is DELETED


def test_merge_of_forked_histories_is_rejected(profile):
    mine = profile.with_head(A, head(9))
    theirs = written(profile.with_head(A, head(9, mark=1)), 4)

    with pytest.raises(ChainBroken):
        merge_profiles(mine, theirs)
