"""Words the errors about a vault: each names what is held or known, and what the server shows."""

from vaultr.client.errors import ChainBroken, RolledBack, StateMismatch
from vaultr.client.log.entries import Waypoint
from vaultr.client.log.pages import Shown


def below(mark: Waypoint, shown: Shown) -> RolledBack:
    """Make the error that tells that the server shows less than was seen before."""
    return RolledBack(
        f"vault {shown.vault_id} went back: seen before is {mark}, the server shows "
        f"{shown.waypoint}",
        vault_id=shown.vault_id,
    )


def fork(known: Waypoint, shown: Shown) -> ChainBroken:
    """Make the error that tells of two histories."""
    return ChainBroken(
        f"two histories of vault {shown.vault_id}: known is {known}, the server shows "
        f"{shown.waypoint}",
        vault_id=shown.vault_id,
    )


def mismatch(shown: Shown, what: str, held: Waypoint | None) -> StateMismatch:
    """Make the error that tells that what is shown is not what the log says."""
    ours = f"held is {held}" if held else "nothing is held"
    return StateMismatch(
        f"vault {shown.vault_id}: {what} ({ours}, the server shows {shown.waypoint})",
        vault_id=shown.vault_id,
    )
