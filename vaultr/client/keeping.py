"""What can be done with vaults as a whole while the account is unlocked: keys changed, and more."""

from collections.abc import Callable, Iterator

from vaultr.client.opened import OpenedAccount
from vaultr.client.reading import Reader
from vaultr.client.rotating import Progress, Rotated, Rotator, left_of
from vaultr.client.vaults import Vaults
from vaultr.client.whole import WholeWriter
from vaultr.client.writes import Writer


class Keeping:
    """The care for the vaults of one unlocked account.

    :param refresh: brings all vaults up to date first.
    """

    def __init__(
        self,
        account: OpenedAccount,
        vaults: Vaults,
        writer: Writer,
        whole: WholeWriter,
        *,
        refresh: Callable[[], None],
    ) -> None:
        self._account = account
        self._vaults = vaults
        self._reader: Reader = vaults.reader
        self._refresh = refresh
        self._rotator = Rotator(account, vaults, writer, whole)

    def rotate(
        self, ref: str | None, *, anew: bool = False, progress: Progress | None = None
    ) -> list[Rotated]:
        """Give one vault, or all of them, new keys."""
        self._refresh()
        chosen = self._reader.vaults() if ref is None else [self._reader.vault(ref)]
        return [self._rotator.rotate(each.id, anew=anew, progress=progress) for each in chosen]

    def due(self) -> Iterator[str]:
        """Tell which vaults' keys are to be replaced, or are not replaced to the end."""
        for vault in self._reader.vaults():
            due = self._account.profile.keys_due(vault.id, vault.state.generation)
            if due or left_of(vault):
                name = self._reader.vault_name(vault)
                what = "are to be replaced" if due else "are not yet replaced everywhere"
                yield f"The keys of vault {name} {what}: run vaultr rotate."
