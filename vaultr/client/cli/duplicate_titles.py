"""Warns of an environment set that is called as another one: run and export refuse such a name."""

import shlex
from typing import TYPE_CHECKING

from vaultr.client.cli import output

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr


def warn(vaultr: "Vaultr", item: "Item") -> None:
    """Say on stderr what `run` will refuse from now on, and what to do."""
    if item.type != "env_set":
        return
    sets = vaultr.items(type="env_set", offline=True)
    twins = [each for each in sets if each.title == item.title and each.id != item.id]
    if not twins:
        return
    title = output.printable(item.title)
    if any(each.vault_id == item.vault_id for each in twins):
        way = "one is renamed, or named by its id"
    else:
        way = "it says in which vault: vaultr://VAULT/SET"
    ids = ", ".join(str(each.id) for each in twins)
    output.tell(
        f"Another environment set is called {title} ({ids}):"
        f" `vaultr run --env-set {shlex.quote(title)}` is refused until {way}."
    )
