"""Offers names to a shell that completes a command line, while the device is unlocked.

No secret is shown, nothing is asked for, and no server is reached.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal

import click

from vaultr.client.cli import output
from vaultr.client.items.fields import names_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from vaultr.client.vaultr_client import Vaultr

    Names = Callable[[Vaultr, click.Context], Iterable[str]]
    Offers = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offers(names: "Names") -> "Offers":
    def offered(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        # Both take longer to import than other commands may take.
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - late, see above

        from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - late, see above

        with Vaultr() as vaultr:
            # Whoever settles a change of the password asks the server; a press of Tab does not.
            ready = not vaultr.change_is_pending and vaultr.unlocked
            named = names(vaultr, context) if ready else ()
            found = {each for each in named if _fits_a_line(each)}
        return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]

    return offered


def _fits_a_line(name: str) -> bool:
    # Shells take a name as what is typed: what moves a cursor or ends a line is not offered.
    return bool(name) and output.printable(name) == name


def _trashed(vaultr: "Vaultr", context: click.Context) -> Iterable[str]:
    # A version is brought back of an item that is in use, too.
    state: Literal["any", "trash"] = "any" if context.params.get("revision") else "trash"
    return (each.title for each in vaultr.items(state=state, offline=True))


def _fields(vaultr: "Vaultr", context: click.Context) -> Iterable[str]:
    """Name the fields of the item that stands on the line; nothing of what they hold."""
    # While an option still lacks its value the words before it are not told apart by name.
    named = (context.params.get("item"), context.params.get("ref"), *context.args)
    ref = next(filter(None, named), None)
    if ref is None:
        return ()
    return names_of(vaultr.item(ref, vault=context.params.get("vault"), offline=True))


item_titles: Final = _offers(lambda vaultr, _: (one.title for one in vaultr.items(offline=True)))
trashed_titles: Final = _offers(_trashed)
field_names: Final = _offers(_fields)
set_titles: Final = _offers(
    lambda vaultr, _: (each.title for each in vaultr.items(type="env_set", offline=True))
)
vault_names: Final = _offers(lambda vaultr, _: (one.name for one in vaultr.vaults(offline=True)))
