"""Write items to a vault: prepare entries, check the response, rebase after other writes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final
from uuid import UUID

from vaultr.client.crypto.keys import Keys
from vaultr.client.errors import (
    AnswerInvalid,
    Conflict,
    GenerationMoved,
    HeadMoved,
    ItemNotFound,
    PreconditionFailed,
    Refused,
    StepUpRequired,
    VaultrError,
)
from vaultr.client.log.append import Batch, Change, prepare
from vaultr.client.log.entries import Waypoint
from vaultr.client.log.receipts import check_batch, check_write
from vaultr.client.log.state import Held, VaultState, plan_sync
from vaultr.client.storage.cache import CachedVault, Row
from vaultr.client.storage.memory_cache import VaultCache
from vaultr.client.storage.private_folder import CopyOutdated, FolderUnusable
from vaultr.client.strict_json import Json
from vaultr.client.transport.http_transport import Answer
from vaultr.client.transport.retry import RetryPolicy
from vaultr.client.vaults.holder import Holder, SyncedVaults
from vaultr.client.vaults.new_generation import NewGenerations
from vaultr.client.vaults.sync import now_text, trashed
from vaultr.client.vaults.write_intents import EditConflict, PlannedChange
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import Op

# Writers that keep conflicting wait for random times, so that one of them gets through.
RETRIES: Final = RetryPolicy(
    tries=20, first_pause_seconds=0.02, longest_pause_seconds=1.0, spread=(0.0, 1.0)
)
# The server limits writes per minute.
_LONGEST_WAIT_SECONDS: Final = 65.0
MOVED: Final = (HeadMoved, PreconditionFailed, Conflict, ItemNotFound)


class RotationDue(VaultrError):
    """A vault's keys must be replaced before anything new is sealed, and that failed."""

    advice = "Replace the keys first: vaultr rotate. Then try again."


class Writer:
    """Writes for one account or machine, and stores the written state in the cache.

    :param generations: returns the object that begins new generations of keys; only owners have
        one.
    """

    def __init__(
        self,
        account: Holder,
        vaults: SyncedVaults,
        generations: Callable[[], NewGenerations] | None = None,
    ) -> None:
        self._account = account
        self._session = account.session
        self._vaults = vaults
        self._cache: VaultCache = account.store.cache
        self._new_generations = generations

    @cached_property
    def generations(self) -> NewGenerations:
        """The object that begins new generations of keys; only an owner's writer has one."""
        if self._new_generations is None:
            raise AssertionError("a machine begins no generation of keys")
        return self._new_generations()

    def write(self, vault_id: UUID, planned: Sequence[PlannedChange]) -> CachedVault:
        """Write all ``planned`` changes in one request, or none of them.

        :raises EditConflict: an item changed since its user saw it.
        :raises HeadMoved: others kept writing in between.
        """
        return self.with_retries(vault_id, lambda vault: self._attempt(vault, planned))

    def write_once(self, vault_id: UUID, planned: Sequence[PlannedChange]) -> CachedVault:
        """Write like :meth:`write`, but if the write is rejected only sync the vault.

        :raises HeadMoved: another write came first; the vault is synced.
        """
        with self._account.store.folder.locked():
            vault = self._held(vault_id)
            try:
                return self._attempt(vault, planned)
            except EditConflict:
                raise
            except MOVED as rejection:
                self._rebased(vault, rejection)
                raise

    def with_retries(
        self, vault_id: UUID, attempt: Callable[[CachedVault], CachedVault]
    ) -> CachedVault:
        """Call ``attempt`` with the vault; rebase and call it again if others wrote in between.

        :raises EditConflict: raised by the attempt.
        :raises HeadMoved: others kept writing in between.
        """
        with self._account.store.folder.locked():
            vault = self._held(vault_id)
            for this_try in RETRIES.attempts():
                try:
                    return attempt(vault)
                except EditConflict:
                    raise
                except MOVED as rejection:
                    if this_try.is_last:
                        raise
                    this_try.wait()
                    vault = self._rebased(vault, rejection)
        raise AssertionError  # the last attempt raises

    def up_to_date(self, vault_id: UUID) -> CachedVault:
        """Sync a vault."""
        return self._vaults.sync_one(vault_id)

    def held_at(self, vault_id: UUID) -> Waypoint | None:
        """Return the waypoint of the cached vault, or None if this device holds no copy."""
        held = self._cache.load(vault_id)
        return None if held is None else held.waypoint

    def _held(self, vault_id: UUID) -> CachedVault:
        held = self._cache.load(vault_id)
        # Never write after a history that may differ from the one in the profile.
        if held is None or not plan_sync(held.state, self._known(vault_id)).conditional:
            return self._vaults.sync_one(vault_id)
        return held

    def _known(self, vault_id: UUID) -> Waypoint | None:
        return self._account.profile.head_of(vault_id)

    def _rebased(self, vault: CachedVault, rejection: Refused) -> CachedVault:
        """Sync the vault after a rejected write; the sync must show the reason."""
        newer = self._vaults.sync_one(vault.id)
        if newer.waypoint != vault.waypoint:
            return newer
        if isinstance(rejection, HeadMoved | GenerationMoved | PreconditionFailed):
            raise AnswerInvalid(
                f"The server rejected a change of vault {vault.id} because another change came "
                f"first, but still shows {vault.waypoint}, as before. Nothing was written.",
                vault_id=vault.id,
            ) from rejection
        raise rejection

    def begin_generation(self, vault: CachedVault) -> CachedVault:
        """Begin a new generation of keys; call it through :meth:`with_retries`.

        :raises StepUpRequired: the password must be proved again first.
        """
        new, state = self.generations.begin(vault, self._vaults.reader.keys(vault))
        return self._cache.save(replace(new, state=self.state_after(vault, state)), {})

    def under_fresh_keys(self, vault: CachedVault) -> CachedVault:
        """Return the vault under keys that nobody else may know: begin a rotation if one is due.

        :raises RotationDue: the server does not let it begin; nothing may be sealed until then.
        """
        if not self._account.profile.keys_due(vault.id, vault.state.generation):
            return vault
        name = self._vaults.reader.vault_name(vault)
        due = (
            f"Nothing was written. The keys of vault {name} must be replaced first, because others "
            "may know the old ones"
        )
        try:
            begun = self.begin_generation(vault)
        except (HeadMoved, GenerationMoved):
            raise
        except StepUpRequired as rejection:
            raise RotationDue(f"{due}; that needs your master password.") from rejection
        except Refused as rejection:
            raise RotationDue(
                f"{due}, and the server does not allow it: {rejection}"
            ) from rejection
        except VaultrError as error:
            error.add_note(f"{due}: vaultr rotate")
            raise
        self._vaults.notices.append(
            f"The keys of vault {name} were due to be replaced, and new ones are used from now on. "
            "Run vaultr rotate to move the other items to them."
        )
        return begun

    def _attempt(self, vault: CachedVault, planned: Sequence[PlannedChange]) -> CachedVault:
        changes = self._changes(vault, planned)
        if any(change.op is Op.PUT for change in changes):
            fresh = self.under_fresh_keys(vault)
            if fresh is not vault:
                vault, changes = fresh, self._changes(fresh, planned)
        open_vault, state = self._vaults.reader.open_vault(vault), vault.state
        if not changes:
            return vault
        author_id = self._account.account_id
        batch = prepare(state, changes, keys=open_vault.keys, author_id=author_id)
        answer = self._send(state, changes, batch)
        (check_write if len(changes) == 1 else check_batch)(batch, answer.body or {})
        return self._keep(vault, changes, batch)

    def _changes(self, vault: CachedVault, planned: Sequence[PlannedChange]) -> list[Change]:
        open_vault, changes = self._vaults.reader.open_vault(vault), list[Change]()
        for change in planned:
            changes += change.changes(open_vault, vault.state.n + 1 + len(changes))
        return changes

    def write_over(
        self,
        vault: CachedVault,
        keys: Keys,
        changes: Sequence[Change],
        *,
        unvouched: Collection[UUID],
    ) -> VaultState:
        """Write over a set that no entry commits to; cache nothing.

        :param unvouched: items that no entry of this batch may commit to before it puts them.
        """
        author_id, state = self._account.account_id, vault.state
        batch = prepare(state, changes, keys=keys, author_id=author_id, unvouched=unvouched)
        answer = self._send(state, changes, batch)
        (check_write if len(changes) == 1 else check_batch)(batch, answer.body or {})
        return batch.state

    def _send(self, state: VaultState, changes: Sequence[Change], batch: Batch) -> Answer:
        if len(changes) > 1:
            body = {"changes": _changes_json(state, changes, batch)}
            path = f"/vaults/{state.vault_id}/changes"
            return self._session.send(
                "POST", path, body, again=True, longest_wait_seconds=_LONGEST_WAIT_SECONDS
            )
        change, write = changes[0], batch.last
        path = f"/vaults/{state.vault_id}/items/{change.item_id}"
        held = state.items.get(change.item_id) if change.item_id else None
        match = {"If-Match": f'"{held.revision}"'} if held else {"If-None-Match": "*"}
        entry = {"entry": write.entry_json()}
        if change.op is Op.PUT:
            body = _put_json(change, write.revision, state.generation) | entry
            return self._session.send("PUT", path, body, headers=match, again=True)
        return self._session.send("POST", f"{path}/{change.op}", entry, headers=match, again=True)

    def _keep(self, vault: CachedVault, changes: Sequence[Change], batch: Batch) -> CachedVault:
        rows = {each: row for each, row in vault.rows.items() if each in batch.state.items}
        details: dict[UUID, bytes] = {}
        now, server_time = now_text(), self._session.server_time()
        moved = server_time.isoformat() if server_time is not None else now
        for change in changes:
            if change.op is Op.PUT and change.item_id is not None:
                old = rows.get(change.item_id)
                made = old.created_at if old else moved
                rows[change.item_id] = Row(b64(change.overview), made, moved, at=0, length=0)
                details[change.item_id] = change.detail
            elif change.item_id in rows:
                rows[change.item_id] = replace(rows[change.item_id], updated_at=moved)
        written = replace(
            vault,
            state=self.state_after(vault, batch.state),
            rows=rows,
            trashed=trashed(batch.state.items, vault),
            synced_at=now,
        )
        try:
            return self._cache.save(written, details)
        except FolderUnusable as error:  # such as a full disk
            raise CopyOutdated(str(error)) from error

    def state_after(self, vault: CachedVault, state: VaultState) -> VaultState:
        """Return the state after a write, having passed the profile's head if it began there."""
        known = self._known(vault.id)
        return replace(state, passed=known) if known == vault.waypoint else state


def _put_json(change: Change, n: int, generation: int) -> Json:
    return {
        "type": change.type,
        "generation": generation,
        "content_revision": n,
        "overview": b64(change.overview),
        "detail": b64(change.detail),
    }


def _changes_json(state: VaultState, changes: Sequence[Change], batch: Batch) -> list[Json]:
    revisions: dict[UUID | None, int] = {}
    listed = []
    for change, write in zip(changes, batch.writes, strict=True):
        before = revisions.get(change.item_id) or _revision(state.items, change.item_id)
        match: Json = {"if_match": before} if before else {"if_none_match": "*"}
        put = _put_json(change, write.revision, state.generation) if change.op is Op.PUT else {}
        listed.append(
            {"op": str(change.op), "item_id": str(change.item_id)}
            | match
            | put
            | {"entry": write.entry_json()}
        )
        revisions[change.item_id] = write.revision
    return listed


def _revision(items: Mapping[UUID, Held], item_id: UUID | None) -> int | None:
    held = items.get(item_id) if item_id else None
    return held.revision if held else None
