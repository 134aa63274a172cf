import os
from dataclasses import replace
from uuid import UUID

import pytest

from vaultr.client.log.entries import Waypoint
from vaultr.client.log.state import Held, Overview, VaultState
from vaultr.client.storage import cache as cache_module
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.cache import Cache, CachedVault, Row
from vaultr.client.storage.private_folder import FileAltered, Folder, FolderUnusable
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import item_content

VAULT = UUID(int=7)
NOW = "2026-11-24T09:00:00Z"


@pytest.fixture
def cache(tmp_path):
    return Cache(Folder(tmp_path))


def vault(details, *, n=3, volume=1):
    """A vault with one item for each sealed detail, and the details by item."""
    by_id = {UUID(int=100 + place): detail for place, detail in enumerate(details)}
    items = {
        item_id: Held(
            revision=n,
            content_revision=n,
            generation=1,
            type="login",
            content=item_content("login", 1, b"overview", detail),
            state="active",
        )
        for item_id, detail in by_id.items()
    }
    state = VaultState(
        vault_id=VAULT,
        n=n,
        head=bytes([n]) * 32,
        generation=1,
        overview=Overview(0, 1, bytes(32)),
        total=5,
        items=items,
        passed=Waypoint(1, bytes(32), 1),
    )
    rows = {item_id: Row(b64(b"overview"), NOW, NOW, at=0, length=0) for item_id in by_id}
    return CachedVault(state, {1: b"wrap"}, b"name", rows=rows, volume=volume), by_id


def test_vault_is_read_back_unchanged(cache, tmp_path):
    stored = cache.save(*vault([b"one", b"two"]))

    again = Cache(Folder(tmp_path))

    assert again.ids() == [VAULT]
    assert again.load(VAULT) == stored
    assert [again.detail(stored, item_id) for item_id in stored.rows] == [b"one", b"two"]


def test_missing_vault_is_none(cache):
    assert cache.load(VAULT) is None
    assert cache.ids() == []


def test_load_returns_changes_of_another_process(cache, tmp_path):
    cache.save(*vault([b"one"]))
    assert cache.load(VAULT).state.n == 3

    Cache(Folder(tmp_path)).save(*vault([b"one"], n=4))

    assert cache.load(VAULT).state.n == 4


def test_save_without_new_details_keeps_the_details_file(cache, tmp_path):
    stored = cache.save(*vault([b"one", b"two"]))
    (details,) = (tmp_path / "vaults").glob("*.details")
    inode = details.stat().st_ino

    cache.save(stored, {})

    assert details.stat().st_ino == inode
    assert details.read_bytes() == b"onetwo"


def test_unreferenced_details_are_removed(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_SPARE_BYTES", 10)
    stored = cache.save(*vault([b"one", b"two"]))
    item_id = next(iter(stored.rows))

    for _ in range(10):
        stored = cache.save(stored, {item_id: b"one"})

    (details,) = (tmp_path / "vaults").glob("*.details")
    assert details.stat().st_size < 30
    assert stored.volume > 1
    assert [cache.detail(stored, each) for each in stored.rows] == [b"one", b"two"]


def test_details_moved_by_another_process_stay_readable(cache, tmp_path, monkeypatch):
    stored = cache.save(*vault([b"one", b"two"]))
    monkeypatch.setattr(cache_module, "_SPARE_BYTES", 0)
    other = Cache(Folder(tmp_path))
    moved = other.load(VAULT)
    for _ in range(3):
        moved = other.save(moved, {next(iter(moved.rows)): b"one"})
    assert moved.volume > stored.volume

    assert [cache.detail(stored, each) for each in stored.rows] == [b"one", b"two"]


def test_altered_details_file_is_reported_by_name(cache, tmp_path):
    stored = cache.save(*vault([b"one", b"two"]))
    (details,) = (tmp_path / "vaults").glob("*.details")

    details.write_bytes(b"twoone")
    with pytest.raises(FileAltered, match=details.name):
        cache.detail(stored, next(iter(stored.rows)))
    details.unlink()
    with pytest.raises(FileAltered, match=details.name):
        cache.detail(stored, next(iter(stored.rows)))


def test_full_disk_preserves_the_vault(cache, tmp_path, monkeypatch):
    stored = cache.save(*vault([b"one"]))
    (details,) = (tmp_path / "vaults").glob("*.details")

    def full(descriptor, data):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(FolderUnusable, match="No space"):
        cache.save(replace(stored, synced_at=NOW), {next(iter(stored.rows)): b"new"})
    monkeypatch.undo()

    assert details.read_bytes() == b"one"
    assert Cache(Folder(tmp_path)).load(VAULT) == stored


def test_unknown_files_beside_vaults_are_not_removed(cache, tmp_path):
    cache.save(*vault([b"a" * 64]))
    strays = [tmp_path / "vaults" / name for name in ("notes.vault", f"{VAULT} copy.vault", "x")]
    for stray in strays:
        stray.write_bytes(b"not ours")

    assert cache.ids() == [VAULT]
    assert all(stray.exists() for stray in strays)


def test_wraps_under_new_account_key_replace_cached_ones(cache, tmp_path):
    cache.save(*vault([b"a" * 64]))
    folder = Folder(tmp_path)
    wraps = {VAULT: {1: b"newer", 2: b"second"}, UUID(int=8): {1: b"of another"}}
    assert cache.load(VAULT).wraps == {1: b"wrap"}

    folder.write_signed(rewrapped_keys.FILE, rewrapped_keys.encode(wraps))

    assert rewrapped_keys.read(folder) == wraps
    assert cache.load(VAULT).wraps == {1: b"newer", 2: b"second"}
    assert Cache(folder).load(VAULT).wraps == {1: b"newer", 2: b"second"}
