"""An archive of an account opens offline with its keys; a changed archive is rejected."""

import io
import json

import pytest

from tests.harness.client.archive_writer import archive_of
from tests.harness.client.world import PASSWORD, mail
from vaultr.client.cli.archive_files import OpenedVault, drafts_of, earlier_contents
from vaultr.client.exports import archive
from vaultr.client.exports.archive_lines import RECORD_BYTES, ArchiveInvalid, records
from vaultr.client.vaults.reader import Item


@pytest.fixture
def owner(world):
    """Two vaults with edited, trashed, removed and resealed items."""
    laptop = world.laptop
    laptop.add("login", *mail("Mail", "first"))
    laptop.edit("Mail", detail={"password": "second"})
    laptop.edit("Mail", detail={"password": "third"})
    laptop.add("login", *mail("Trashed"))
    laptop.trash("Trashed")
    laptop.add("login", *mail("Removed"))
    laptop.remove("Removed")
    laptop.create_vault("Work")
    laptop.add("note", {"title": "Note"}, {"text": "grün"}, vault="Work")
    laptop.rotate("Work")
    laptop.rename_vault("Work", "Office")
    laptop.create_vault("Empty")
    laptop.device.write_profile(now=True)
    return laptop


@pytest.fixture
def data(world, owner):
    return archive_of(world.server)


def wrap_of(world):
    return world.laptop.device.unlocked.account.wrap_key


def verified(world, data, **more):
    return archive.verify(io.BytesIO(data), wrap_of(world), **more)


def test_archive_opens_with_its_items_and_earlier_versions(world, data):
    found = archive.opened(io.BytesIO(data), verified(world, data))
    shown = [
        (name, type(each) is Item, each.overview["title"], each.detail.get("password"))
        for _, name, each in found
    ]

    assert ("Personal", True, "Mail", "third") in shown
    versions = [each[3] for each in shown if not each[1] and each[0] == "Personal"]
    assert versions == ["first", "second"]
    assert {each[0] for each in shown} == {"Personal", "Office"}
    assert "Removed" not in {each[2] for each in shown}


def test_archive_opens_with_password_and_secret_key_only(world, data):
    account = archive.read_account(io.BytesIO(data))
    key = world.signup.secret_key

    assert account.open(PASSWORD, key) == wrap_of(world)
    for password, secret_key in (("another password 1", key), (PASSWORD, None)):
        with pytest.raises(ArchiveInvalid, match="does not open"):
            account.open(password, secret_key)


def test_archive_truncated_anywhere_is_rejected(world, data, count):
    lines = data.splitlines(keepends=True)
    for end in range(0, len(lines), count(3, many=1)):
        cut = b"".join(lines[:end])
        for part in (cut, cut[:-1], cut + lines[end][:-2]):
            if part != data.rstrip(b"\n"):
                with pytest.raises(ArchiveInvalid):
                    verified(world, part)


def test_archive_with_changed_byte_is_rejected(world, data, count):
    """The audit events at the end, and a vault's counts, have separate proofs or none."""
    # Changes of the account key's derivation inputs and seal look like a wrong password: see above.
    places = range(data.index(b'"identity"'), data.index(b'"audit"'), count(211, many=7))
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places]
    unproven = ("created_at", "updated_at", "email", "size", "rotating", "auth")

    passed = []
    for at, each in zip(places, changed, strict=True):
        try:
            verified(world, each)
        except (ArchiveInvalid, ValueError):
            continue
        except Exception as error:
            raise AssertionError((at, data[at - 30 : at + 30])) from error
        passed.append(data[max(0, at - 60) : at + 10].decode(errors="replace"))
    assert [each for each in passed if not any(name in each for name in unproven)] == []


def test_archive_of_older_state_than_the_profile_is_rejected(world, owner, data):
    owner.add("login", *mail("Newer"))
    profile = owner.device.unlocked.account
    owner.device.write_profile(now=True)

    with pytest.raises(ArchiveInvalid, match="have seen"):
        verified(world, data, newest=profile.profile)


def test_archive_without_a_known_vault_is_rejected(world, data):
    vault_id = next(iter(world.server.vaults))
    del world.server.vaults[vault_id]

    with pytest.raises(ArchiveInvalid, match="lacks vault"):
        verified(world, archive_of(world.server))


def test_archive_with_malformed_time_of_an_item_is_rejected(world, data):
    vault = next(iter(world.server.vaults.values()))
    next(iter(vault["items"].values()))["created_at"] = 1

    with pytest.raises(ArchiveInvalid, match="created_at"):
        verified(world, archive_of(world.server))


def test_archive_with_added_or_long_record_is_rejected(data):
    for each in (
        data + b"{}\n",
        data.replace(b'"body":"b"', b'"body":"' + b"b" * RECORD_BYTES + b'"'),
    ):
        with pytest.raises(ArchiveInvalid):
            list(records(io.BytesIO(each)))


@pytest.mark.parametrize("start", [b"", b"{}", b'{"format":"vaultr-export/2",\n', b"\n" * 9])
def test_file_that_is_not_an_archive_is_rejected(start):
    with pytest.raises(ArchiveInvalid):
        list(records(io.BytesIO(start)))


def test_import_into_another_account_keeps_versions(world, worlds, data):
    other = worlds().laptop
    found = list(archive.opened(io.BytesIO(data), verified(world, data)))
    vault = OpenedVault("v", "Personal")
    for _, name, each in found:
        if name == "Personal" and isinstance(each, Item):
            vault.items.append(each)
        elif name == "Personal":
            vault.versions.setdefault(str(each.item_id), []).append(each)

    report = other.import_drafts(
        drafts_of(vault), vault="Personal", earlier=earlier_contents(vault)
    )
    again = other.import_drafts(drafts_of(vault), vault="Personal", earlier=earlier_contents(vault))

    assert [each.title for each in report.added] == ["Mail"]
    assert (again.added, again.same) == ((), 1)
    versions = [other.version("Mail", each.revision) for each in other.history("Mail")]
    assert [each.detail["password"] for each in versions] == ["third", "second", "first"]
    assert json.dumps(versions[0].detail).count("password") == 1
