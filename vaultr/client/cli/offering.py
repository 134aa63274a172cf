"""Offers names to a shell that completes a command line, while the device is unlocked.

No secret is shown, nothing is asked for, and no server is reached.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import click

from vaultr.client.cli import showing

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from vaultr.client.api import Vaultr

    Offers = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offers(names: "Callable[[Vaultr], Iterable[str]]") -> "Offers":
    def offered(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        # Both take longer to import than other commands may take.
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - late, see above

        from vaultr.client.api import Vaultr  # noqa: PLC0415 - late, see above

        with Vaultr() as vaultr:
            found = (
                {each for each in names(vaultr) if _fits_a_line(each)} if vaultr.unlocked else ()
            )
        return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]

    return offered


def _fits_a_line(name: str) -> bool:
    # Shells take a name as what is typed: what moves a cursor or ends a line is not offered.
    return bool(name) and showing.printable(name) == name


item_titles: Final = _offers(lambda vaultr: (each.title for each in vaultr.items(offline=True)))
trashed_titles: Final = _offers(
    lambda vaultr: (each.title for each in vaultr.items(state="trash", offline=True))
)
set_titles: Final = _offers(
    lambda vaultr: (each.title for each in vaultr.items(type="env_set", offline=True))
)
vault_names: Final = _offers(lambda vaultr: (each.name for each in vaultr.vaults(offline=True)))
