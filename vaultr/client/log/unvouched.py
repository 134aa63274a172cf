"""Take a full set of items although its last entry does not commit to it.

Use it only for a set that the owner has accepted. The last entry must still be signed with the
owner's keys, because the vault's whole log is checked against it.
"""

from vaultr.client.crypto.keys import Keys, lk_of
from vaultr.client.errors import AnswerInvalid, ChainBroken, StateMismatch
from vaultr.client.log.chain import check_mac
from vaultr.client.log.pages import Shown
from vaultr.client.log.state import VaultState, total_of
from vaultr.client.log.verify import Synced, check_claims, synced, take_full


def take(shown: Shown, keys: Keys) -> tuple[Synced, bool]:
    """Take a full set, as a new device would.

    :return: the set, and whether its last entry commits to it.
    :raises IntegrityError: the response contradicts itself, or its last entry is not signed.
    """
    try:
        return take_full(shown, keys, None), True
    except (ChainBroken, StateMismatch):
        return _taken(shown, keys), False


def _taken(shown: Shown, keys: Keys) -> Synced:
    check_claims(shown, keys)
    last = shown.head_entry
    if last is None or last.waypoint != shown.waypoint:
        raise AnswerInvalid(
            f"The server contradicts itself about vault {shown.vault_id}: the newest change in its "
            f"log does not lead to {shown.waypoint}, which it shows as the newest state.",
            vault_id=shown.vault_id,
        )
    check_mac(last, keys)
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
