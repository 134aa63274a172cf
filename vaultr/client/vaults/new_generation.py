"""Begin a new generation of a vault's keys, with a wrap that is stored before it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from vaultr.client.crypto.keys import Keys, VaultKeys
from vaultr.client.errors import AnswerInvalid, Conflict, SealBroken, StateMismatch
from vaultr.client.log.append import Batch, Change, prepare
from vaultr.client.log.pages import read_wraps
from vaultr.client.log.receipts import check_vault
from vaultr.client.log.state import VaultState
from vaultr.client.storage.cache import CachedVault
from vaultr.client.strict_json import Fields
from vaultr.client.transport.http_transport import Answer
from vaultr.client.transport.responses import fields_of
from vaultr.client.vaults.machine_list import Machine, RotationWraps, holders_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.protocol.encoding import b64

_TRIES: Final = 5
_MACHINES: Final = "machines"


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The keys of the next generation, and their stored wrap."""

    generation: int
    keys: VaultKeys = field(repr=False)
    sealed: bytes = field(repr=False)


class NewGenerations:
    """Begins generations for one unlocked account; retries send the same wrap."""

    def __init__(self, account: UnlockedAccount) -> None:
        self._account = account
        self._store = account.store

    def begin(self, vault: CachedVault, keys: Keys) -> tuple[CachedVault, VaultState]:
        """Begin the next generation; call it through :meth:`Writer.with_retries`.

        :param keys: the opened keys of the vault.
        :return: the vault with the new wrap and its old state, and the state after the write.
        :raises StepUpRequired: the password must be proved again first.
        :raises StateMismatch: the server has other keys of this generation than those sent.
        """
        new = self._new_keys(vault)
        account = self._account
        batch = prepare(
            vault.state,
            [Change.rotate_begin()],
            keys={**keys, new.generation: new.keys},
            author_id=account.account_id,
        )
        answer = self._send(vault.id, new, batch)
        check_vault(batch, answer.body or {})
        if read_wraps(fields_of(answer, "vault"), vault.id).get(new.generation) != new.sealed:
            raise StateMismatch(
                f"The server stored other new keys of vault {vault.id} than this device sent, as "
                f"version {new.generation} of its keys.",
                vault_id=vault.id,
            )
        wraps = {**vault.wraps, new.generation: new.sealed}
        return replace(vault, wraps=wraps), batch.state

    def _send(self, vault_id: UUID, new: NewKeys, batch: Batch) -> Answer:
        """Send the new generation with wraps for exactly the machines that hold a key.

        :raises Conflict: machines kept being added or deleted in between.
        """
        session = self._account.session
        body = {
            "generation": new.generation,
            "sealed_key": b64(new.sealed),
            "entry": batch.last.entry_json(),
        }
        machines = holders_of(session, vault_id)
        for left in range(_TRIES - 1, -1, -1):
            wraps = self._machine_wraps(vault_id, new, batch, machines)
            whole = {**body, "machines": wraps.body()}
            try:
                return session.send("POST", f"/vaults/{vault_id}/rotation", whole, again=True)
            except Conflict as error:
                # Its subclasses say that the vault changed; this one, that the machines did.
                before, machines = machines, holders_of(session, vault_id)
                if type(error) is not Conflict or machines == before or not left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _machine_wraps(
        self, vault_id: UUID, new: NewKeys, batch: Batch, machines: Sequence[Machine]
    ) -> RotationWraps:
        """Return the wraps for machines, stored before they are sent: a retry sends the same."""
        stored = self._store.new_keys(vault_id) or {}
        sent = RotationWraps.read(stored.get(_MACHINES), batch.state.waypoint)
        wraps = sent.for_machines(self._account, machines, vault_id, new.keys)
        if wraps != sent:
            self._store.keep_new_keys(vault_id, {**stored, _MACHINES: wraps.to_json()})
        return wraps

    def forget_reached(self, vault: CachedVault) -> None:
        """Delete the stored wrap once the vault has reached its generation."""
        stored = self._stored(vault.id)
        if stored is not None and stored.generation <= vault.state.generation:
            self._store.forget_new_keys(vault.id)

    def _new_keys(self, vault: CachedVault) -> NewKeys:
        """Return the stored keys of the next generation, or else generate and store them."""
        generation = vault.state.generation + 1
        stored = self._stored(vault.id)
        if stored is not None and stored.generation == generation:
            return stored
        account, keys = self._account, VaultKeys.new()
        sealed = keys.wrap(account.wrap_key, account.account_id, vault.id, generation)
        self._store.keep_new_keys(vault.id, {"generation": generation, "sealed_key": b64(sealed)})
        return NewKeys(generation, keys, sealed)

    def _stored(self, vault_id: UUID) -> NewKeys | None:
        value = self._store.new_keys(vault_id)
        if value is None:
            return None
        fields = Fields(value, "new keys", AnswerInvalid)
        generation, sealed = fields.count("generation", least=2), fields.binary("sealed_key")
        account = self._account
        try:
            keys = VaultKeys.unwrap(
                account.wrap_key, account.account_id, vault_id, generation, sealed
            )
        except SealBroken:  # wrapped under an account key that has been replaced
            self._store.forget_new_keys(vault_id)
            return None
        return NewKeys(generation, keys, sealed)
