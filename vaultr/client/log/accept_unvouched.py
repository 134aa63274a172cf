"""Takes the full set that a server shows although its last entry does not vouch for it.

Only for what the owner accepts by hand, and vouches for by a repair.
"""

from uuid import UUID

from vaultr.client.errors import AnswerInvalid, ChainBroken, SealBroken, StateMismatch
from vaultr.client.log.chain import Keys, lk_of
from vaultr.client.log.pages import Shown
from vaultr.client.log.state import VaultState, total_of
from vaultr.client.log.verify import Synced, check_claims, synced, take_full


def take(shown: Shown, keys: Keys) -> tuple[Synced, bool]:
    """Take a full set as a new device would.

    :return: what was taken, and whether its last entry vouches for it.
    :raises IntegrityError: the answer contradicts itself, which no repair mends.
    """
    try:
        return take_full(shown, keys, None), True
    except (ChainBroken, StateMismatch):
        return _taken(shown, keys), False


def _taken(shown: Shown, keys: Keys) -> Synced:
    check_claims(shown, keys)
    last = shown.head_entry
    if last is None or last.waypoint.head != shown.head or last.entry.n != shown.n:
        raise AnswerInvalid(
            f"vault {shown.vault_id} has a head that no entry of it leads to",
            vault_id=shown.vault_id,
        )
    lk = lk_of(keys, shown.generation, shown.vault_id)
    state = VaultState(
        vault_id=shown.vault_id,
        n=shown.n,
        head=shown.head,
        generation=shown.generation,
        overview=shown.overview,
        total=total_of(lk, shown.items, shown.overview),
        items=shown.items,
    )
    return synced(state, shown)


def not_opening(items: dict[UUID, str]) -> SealBroken:
    """Make the error that names items which nobody can open, so that nobody may vouch for them."""
    named = ", ".join(f"{item_id} ({why})" for item_id, why in sorted(items.items()))
    return SealBroken(
        f"These items on the server do not open, and this device has no copy of them: {named}. "
        "Nothing was accepted; another device may have one"
    )
