"""Wraps of cached vaults fetched anew, when another device has replaced the account key."""

from vaultr.client.errors import AnswerInvalid, RolledBack, SealBroken, StateMismatch
from vaultr.client.log.chain import lk_of
from vaultr.client.log.pages import read_wraps
from vaultr.client.log.state import total_of
from vaultr.client.storage.cache import Cache, CachedVault
from vaultr.client.storage.rewrapped_keys import Wraps
from vaultr.client.strict_json import Fields
from vaultr.client.transport.http_transport import Answer, Transport
from vaultr.client.transport.responses import Tokens
from vaultr.client.vaults.sync import VaultKeyring
from vaultr.client.vaults.unlocked_account import OpenedAccount
from vaultr.client.vaults.vault_list import Sender, ask_list


class Fresh:
    """Asks with the tokens of a session that is not kept yet."""

    def __init__(self, transport: Transport, tokens: Tokens) -> None:
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {tokens.access}"}

    def send(self, method: str, path: str) -> Answer:
        """Send one request."""
        return self._transport.send(method, path, headers=self._headers)


def renewed(cache: Cache, opened: OpenedAccount, sender: Sender) -> Wraps | None:
    """Fetch the wraps of all cached vaults that the account key does not open; None if it does.

    What is opened by them must be the keys from before: the sum over what is held tells.

    :raises StateMismatch: they are other keys.
    :raises RolledBack: the server does not list a vault that is held.
    """
    stale = _stale(cache, opened)
    if not stale:
        return None
    listed = [Fields(each, "vault", AnswerInvalid) for each in ask_list(sender)]
    shown = {each.uuid("id"): each for each in listed}
    # Not the account's own keyring: what this device keeps is under the key from before still.
    keyring, wraps = VaultKeyring(opened.wrap_key, opened.account_id), {}
    for vault in stale:
        if vault.id not in shown:
            raise RolledBack(
                f"vault {vault.id} is missing from the server's list; held is {vault.waypoint}",
                vault_id=vault.id,
            )
        newer = read_wraps(shown[vault.id], vault.id)
        state = vault.state
        if not vault.wraps.keys() <= newer.keys():
            raise StateMismatch(
                f"vault {vault.id}: keys of generations from before are missing in what the server "
                f"shows (held is {vault.waypoint})",
                vault_id=vault.id,
            )
        lk = lk_of(keyring.open(vault.id, newer), state.generation, vault.id)
        if total_of(lk, state.items, state.overview) != state.total:
            raise StateMismatch(
                f"vault {vault.id} has other keys of generation {state.generation} than before",
                vault_id=vault.id,
            )
        wraps[vault.id] = newer
    return wraps


def _stale(cache: Cache, opened: OpenedAccount) -> list[CachedVault]:
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
