"""Fetch the wraps of cached vaults again after another device has replaced the account key."""

from vaultr.client.crypto.keys import lk_of
from vaultr.client.errors import AnswerInvalid, RolledBack, SealBroken, StateMismatch
from vaultr.client.log.pages import read_wraps
from vaultr.client.log.state import total_of
from vaultr.client.storage.cache import Cache, CachedVault
from vaultr.client.storage.rewrapped_keys import Wraps
from vaultr.client.strict_json import Fields
from vaultr.client.transport.http_transport import Answer, Transport
from vaultr.client.transport.responses import Tokens
from vaultr.client.vaults.sync import VaultKeyring
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import Sender, ask_list


class TokenSender:
    """Sends requests with the tokens of a session that is not stored yet."""

    def __init__(self, transport: Transport, tokens: Tokens) -> None:
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {tokens.access}"}

    def send(self, method: str, path: str) -> Answer:
        """Send one request."""
        return self._transport.send(method, path, headers=self._headers)


def refreshed_wraps(cache: Cache, opened: UnlockedAccount, sender: Sender) -> Wraps | None:
    """If the account key does not open the cached wraps, fetch new ones; otherwise return None.

    The keys inside must be the same as before, which the sum over the cached items proves.

    :raises StateMismatch: the keys differ.
    :raises RolledBack: the server does not list a vault that this device holds.
    """
    stale = _stale(cache, opened)
    if not stale:
        return None
    listed = [Fields(each, "vault", AnswerInvalid) for each in ask_list(sender)]
    shown = {each.uuid("id"): each for each in listed}
    # Not the account's own keyring: this device's wraps are still sealed under the old account key.
    keyring, wraps = VaultKeyring(opened.wrap_key, opened.account_id), {}
    for vault in stale:
        if vault.id not in shown:
            raise RolledBack(
                f"Vault {vault.id} is missing from the server's list of vaults; this device has "
                f"{vault.waypoint}.",
                vault_id=vault.id,
            )
        newer = read_wraps(shown[vault.id], vault.id)
        state = vault.state
        if not vault.wraps.keys() <= newer.keys():
            raise StateMismatch(
                f"The server withholds keys of vault {vault.id} that this device has (at "
                f"{vault.waypoint}).",
                vault_id=vault.id,
            )
        lk = lk_of(keyring.open(vault.id, newer), state.generation, vault.id)
        if total_of(lk, state.items, state.overview) != state.total:
            raise StateMismatch(
                f"The server returned other keys of vault {vault.id} than before: "
                f"version {state.generation} differs.",
                vault_id=vault.id,
            )
        wraps[vault.id] = newer
    return wraps


def _stale(cache: Cache, opened: UnlockedAccount) -> list[CachedVault]:
    deleted = opened.deleted()
    keyring = VaultKeyring(opened.wrap_key, opened.account_id)
    stale = []
    for vault_id in cache.ids():
        vault = None if vault_id in deleted else cache.load(vault_id)
        if vault is None:
            continue
        try:
            keyring.open(vault_id, vault.wraps)
        except SealBroken:
            stale.append(vault)
    return stale
