"""Complete titles, vault names and field names in a shell, while the device is unlocked.

Completion shows no secrets, asks for nothing and never contacts the server.
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
    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: "Names") -> "Completer":
    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        # These imports take longer than a whole other command may take.
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - late, see above

        from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - late, see above

        with Vaultr() as vaultr:
            # The SDK would contact the server to settle a pending password change.
            ready = not vaultr.change_is_pending and vaultr.unlocked
            candidates = names(vaultr, context) if ready else ()
            safe = {each for each in candidates if _is_safe(each)}
        return [CompletionItem(name) for name in sorted(safe) if name.startswith(incomplete)]

    return complete


def _is_safe(name: str) -> bool:
    # A shell inserts names like typed text, so control characters must not be in them.
    return bool(name) and output.printable(name) == name


def _trash_titles(vaultr: "Vaultr", context: click.Context) -> Iterable[str]:
    # With --revision, restore also works on items that are not in the trash.
    state: Literal["any", "trash"] = "any" if context.params.get("revision") else "trash"
    return (each.title for each in vaultr.items(state=state, offline=True))


def _field_names(vaultr: "Vaultr", context: click.Context) -> Iterable[str]:
    """Return the field names, without values, of the item on the command line."""
    # While an option still lacks its value, click does not assign the words before it.
    candidates = (context.params.get("item"), context.params.get("ref"), *context.args)
    ref = next(filter(None, candidates), None)
    if ref is None:
        return ()
    return names_of(vaultr.item(ref, vault=context.params.get("vault"), offline=True))


item_titles: Final = _completer(lambda vaultr, _: (one.title for one in vaultr.items(offline=True)))
trashed_titles: Final = _completer(_trash_titles)
field_names: Final = _completer(_field_names)
set_titles: Final = _completer(
    lambda vaultr, _: (each.title for each in vaultr.items(type="env_set", offline=True))
)
vault_names: Final = _completer(lambda vaultr, _: (one.name for one in vaultr.vaults(offline=True)))
