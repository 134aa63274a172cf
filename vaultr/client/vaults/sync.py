"""Sync one vault: fetch the pages, verify them, and store the result in the cache."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from vaultr.client.crypto.keys import Keys, VaultKeys, open_wraps
from vaultr.client.errors import (
    AnswerInvalid,
    HeadMoved,
    NotFound,
    RolledBack,
    SealBroken,
)
from vaultr.client.log import pages, verify
from vaultr.client.log.entries import Waypoint
from vaultr.client.log.state import Held, SyncPlan, plan_sync
from vaultr.client.storage.cache import CachedVault, Row
from vaultr.client.storage.memory_cache import VaultCache
from vaultr.client.strict_json import Fields, Json
from vaultr.client.transport.responses import fields_of
from vaultr.client.transport.sender import RequestSender
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.sizes import SYNC_LIMIT_MOST

_ITEM: Final = "item"
NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The result of one sync: the vault, and the numbers of items received and removed."""

    vault: CachedVault
    received: int = 0
    removed: int = 0


class VaultKeyring:
    """The opened keys of the account's vaults, while it is unlocked.

    :param check: called when a wrap does not open; raises an error if the reason is harmless.
    """

    def __init__(
        self, wrap_key: bytes, account_id: UUID, *, check: Callable[[], object] | None = None
    ) -> None:
        self._wrap_key = wrap_key
        self._account_id = account_id
        self._check = check
        self._opened: dict[UUID, dict[int, VaultKeys]] = {}

    def open(self, vault_id: UUID, wraps: Mapping[int, bytes]) -> Keys:
        """Open all ``wraps`` of a vault, and compare them with the keys opened before.

        :raises StateMismatch: a generation has a different key than before.
        :raises Locked: another command of this device replaced the account key.
        """
        held = self._opened.get(vault_id)
        try:
            opened = open_wraps(self._wrap_key, self._account_id, vault_id, wraps, held)
        except SealBroken:
            if self._check is not None:
                self._check()
            raise
        self._opened[vault_id] = opened
        return opened

    def replace_keys(self, vault_id: UUID, wraps: Mapping[int, bytes]) -> Keys:
        """Open ``wraps``, and forget all previously opened keys of the vault.

        Only for a state of the server that the owner has accepted.
        """
        opened = open_wraps(self._wrap_key, self._account_id, vault_id, wraps)
        self._opened[vault_id] = opened
        return opened


class KeyOpener(Protocol):
    """Opens the keys of vaults for their owner or for a machine."""

    def open(self, vault_id: UUID, wraps: Mapping[int, bytes]) -> Keys:
        """Open all ``wraps`` of a vault, and compare them with the keys opened before."""
        ...


class Syncer:
    """Syncs vaults one by one, and saves each before fetching the next."""

    def __init__(self, session: RequestSender, cache: VaultCache, keyring: KeyOpener) -> None:
        self._session = session
        self._cache = cache
        self._keyring = keyring

    def sync(self, vault_id: UUID, known: Waypoint | None) -> SyncResult:
        """Sync one vault; the caller holds the folder's lock.

        :param known: the head of this vault in the owner's profile.
        :raises IntegrityError: the server's response failed verification; the cache is unchanged.
        """
        # Save nothing before the last check, because a later sync trusts the cache.
        vault, taken = self.prove(vault_id, known)
        if taken.is_new(vault):
            vault = self._cache.save(vault, taken.details)
        return SyncResult(vault, len(taken.received), len(taken.removed))

    def prove(self, vault_id: UUID, known: Waypoint | None) -> tuple[CachedVault, "_Pending"]:
        """Verify what :meth:`sync` would store, without storing it."""
        held = self._cache.load(vault_id)
        if held is not None:
            self._keyring.open(vault_id, held.wraps)
        taken = _Pending(held)
        while True:
            plan = plan_sync(taken.vault.state if taken.vault else None, known)
            shown = self._ask(vault_id, plan, taken.vault, known)
            if shown is not None:
                taken.take(self._verified(taken.vault, shown, plan, known))
            if taken.vault is not None and plan_sync(taken.vault.state, known).conditional:
                return taken.vault, taken

    def show_all(self, vault_id: UUID) -> pages.Shown:
        """Fetch the full set, and check only its format."""
        plan = SyncPlan(full=True, since=0, conditional=False)
        return pages.gather(vault_id, self._pages(vault_id, plan, None), since=0)

    def show_since(self, vault_id: UUID, since: int) -> pages.Shown:
        """Fetch the entries after ``since`` (at least 1), and check only their format."""
        plan = SyncPlan(full=False, since=since, conditional=False)
        return pages.gather(vault_id, self._pages(vault_id, plan, None), since=since)

    def _verified(
        self,
        cached: CachedVault | None,
        shown: pages.Shown,
        plan: SyncPlan,
        known: Waypoint | None,
    ) -> verify.Synced:
        keys = self._keyring.open(shown.vault_id, shown.wraps)
        if plan.full:
            return verify.take_full(shown, keys, known)
        if cached is None:
            raise AssertionError("a delta is planned only over a held state")
        return verify.take_delta(cached.state, shown, keys, known)

    def _ask(
        self,
        vault_id: UUID,
        plan: SyncPlan,
        cached: CachedVault | None,
        known: Waypoint | None,
    ) -> pages.Shown | None:
        """Fetch the pages of ``plan``; return None for a 304, if the plan allows one."""
        match = b64(cached.state.head) if cached is not None and plan.conditional else None
        try:
            answers = self._pages(vault_id, plan, match)
            return pages.gather(vault_id, answers, since=plan.since)
        except _Unchanged:
            return None
        except (NotFound, HeadMoved) as rejection:
            seen = cached.waypoint if cached is not None else known
            if seen is None:
                raise
            shown = (
                "no longer has" if isinstance(rejection, NotFound) else "shows an older state of"
            )
            raise RolledBack(
                f"The server {shown} vault {vault_id}: one of your devices saw {seen}.",
                vault_id=vault_id,
            ) from rejection

    def _pages(self, vault_id: UUID, plan: SyncPlan, match: str | None) -> Iterator[Json]:
        """Yield the pages.

        :param match: the head for ``If-None-Match``; without it, a 304 is invalid.
        :raises _Unchanged: the server responded with 304.
        """
        headers = {} if match is None else {"If-None-Match": f'"{match}"'}
        since, after = plan.since, 0
        while True:
            query = f"since={since}&limit={SYNC_LIMIT_MOST}" + (f"&after={after}" if after else "")
            answer = self._session.send("GET", f"/vaults/{vault_id}/sync?{query}", headers=headers)
            if answer.status == NOT_MODIFIED and headers:
                raise _Unchanged
            page = fields_of(answer, "sync")
            yield page.raw()
            if not page.flag("more"):
                return
            through = page.count("through", least=1)
            headers = {}
            since, after = (0, through) if plan.full else (through, 0)


class _Unchanged(Exception):
    """A 304 to a conditional request."""


class _Pending:
    """The verified results of the steps of one sync, not stored yet."""

    def __init__(self, held: CachedVault | None) -> None:
        self._held = held
        self.vault = held
        self.details: dict[UUID, bytes] = {}
        self.received: set[UUID] = set()
        self.removed: set[UUID] = set()

    def take(self, synced: verify.Synced) -> None:
        """Add one more verified step."""
        before = self.vault.rows.keys() if self.vault else set()
        self.vault, details = merged(self.vault, synced)
        rows = self.vault.rows
        self.details = {each: d for each, d in (self.details | details).items() if each in rows}
        self.received |= details.keys()
        self.removed |= synced.removed & before

    def is_new(self, vault: CachedVault) -> bool:
        """Check whether ``vault`` differs from the cached one in more than the time of its sync."""
        held = self._held
        return held is None or (vault.state, vault.wraps) != (held.state, held.wraps)


def merged(
    cached: CachedVault | None, synced: verify.Synced
) -> tuple[CachedVault, dict[UUID, bytes]]:
    """Merge a verified sync into the cached vault.

    :return: the vault, and its new sealed details.
    """
    details: dict[UUID, bytes] = {}
    before = cached.rows if cached else {}
    rows = {item_id: row for item_id, row in before.items() if item_id in synced.state.items}
    for item_id, json in synced.rows.items():
        fields = Fields(json, _ITEM, AnswerInvalid)
        fields.time("created_at")
        fields.time("updated_at")
        old = before.get(item_id)
        row = Row(json["overview"], json["created_at"], json["updated_at"], at=0, length=0)
        if old is not None and cached is not None and _same_content(cached, synced, item_id):
            rows[item_id] = replace(row, at=old.at, length=old.length)
        else:
            rows[item_id] = row
            details[item_id] = unb64(json["detail"])
    vault = Fields(synced.vault, "vault", AnswerInvalid)
    shown_wraps = pages.read_wraps(vault, synced.state.vault_id)
    new = CachedVault(
        state=synced.state,
        wraps={**(cached.wraps if cached else {}), **shown_wraps},
        overview=vault.binary("overview"),
        rows=rows,
        trashed=trashed(synced.state.items, cached),
        volume=cached.volume if cached else 1,
        synced_at=now_text(),
        trail={**(cached.trail if cached else {}), **synced.heads},
    )
    return new, details


def _same_content(cached: CachedVault, synced: verify.Synced, item_id: UUID) -> bool:
    return cached.state.items[item_id].content == synced.state.items[item_id].content


def trashed(items: Mapping[UUID, Held], before: CachedVault | None) -> dict[UUID, str]:
    """Return since when each item is in the trash, by this device's clock.

    An item that was restored and trashed again has another revision, even if both happened between
    two syncs.
    """
    now = now_text()
    cached, since = (before.state.items, before.trashed) if before else ({}, {})
    return {
        item_id: since.get(item_id, now) if cached.get(item_id) == held else now
        for item_id, held in items.items()
        if held.state == "trash"
    }


def now_text() -> str:
    """Return the current time as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")
