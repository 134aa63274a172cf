"""Commands that read: list and show. Neither prints a secret unless it is asked for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import click

from vaultr.client.cli import showing
from vaultr.client.cli.opening import opened
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items import SCHEMAS

if TYPE_CHECKING:
    from vaultr.client.api import Item

_SEARCHED = ("title", "username", "urls", "folder", "tags", "brand")


@command("list", "vaultr list", "vaultr list mail --type login", "vaultr list --offline --json")
@click.argument("words", nargs=-1)
@click.option("--type", "kind", type=click.Choice(list(SCHEMAS)), help="Only items of this type.")
@click.option("--trash", is_flag=True, help="What is in the trash, instead.")
@click.option("--offline", is_flag=True, help="From the copy on this device, without the server.")
@vault_option("Only this vault, by id or name.")
@pass_choices
def list_items(
    choices: Choices,
    words: tuple[str, ...],
    kind: str | None,
    trash: bool,
    offline: bool,
    vault: str | None,
) -> None:
    """List items, or those that hold all WORDS.

    Words are looked for in titles, user names, addresses, folders and tags. Secrets are not shown.
    """
    state: Literal["active", "trash"] = "trash" if trash else "active"
    with opened(choices) as vaultr:
        found = vaultr.items(vault=vault, type=kind, state=state, offline=offline)
        items = sorted((item for item in found if _holds(item, words)), key=_by_title)
    if choices.json:
        showing.as_json([showing.item_json(item, reveal=False) for item in items])
        return
    showing.table(("TITLE", "TYPE", "USER NAME", "FOLDER", "ID"), map(_row, items))
    if not items:
        showing.tell("Nothing is there.")


def _holds(item: "Item", words: Iterable[str]) -> bool:
    texts = (showing.text_of(item.overview.get(name, "")) for name in _SEARCHED)
    text = "\n".join(texts).casefold()
    return all(word.casefold() in text for word in words)


def _by_title(item: "Item") -> tuple[str, str]:
    return item.title.casefold(), str(item.id)


def _row(item: "Item") -> tuple[str, ...]:
    overview = item.overview
    return (
        showing.shortened(item.title),
        item.type,
        showing.shortened(showing.text_of(overview.get("username", ""))),
        showing.text_of(overview.get("folder", "")),
        str(item.id),
    )


@command(
    "show",
    "vaultr show Mail",
    "vaultr show Mail --field password",
    "vaultr show Mail --json --reveal",
    no_args_is_help=True,
)
@click.argument("item", metavar="ITEM")
@click.option("--reveal", is_flag=True, help="Show its secrets, too.")
@click.option("--field", metavar="NAME", help="Print the value of one field and nothing else.")
@click.option("--offline", is_flag=True, help="From the copy on this device, without the server.")
@vault_option()
@pass_choices
def show(
    choices: Choices, item: str, reveal: bool, field: str | None, offline: bool, vault: str | None
) -> None:
    """Show one item; its secrets only if asked for.

    ITEM is an id, or a title that only one item has.

    NAME is a field such as password or username, the name of a custom field, or of a variable.
    """
    with opened(choices) as vaultr:
        wanted = reveal or field is not None
        found = vaultr.item(item, vault=vault, reveal=wanted, offline=offline)
    if field is not None:
        _show_value(value_of(found, field), as_json=choices.json)
    elif choices.json:
        showing.as_json(showing.item_json(found, reveal=reveal))
    else:
        _show_table(found, reveal=reveal)


def value_of(item: "Item", name: str) -> Any:
    """Find a field: ``password``, ``overview.title``, a variable, or a custom field's name.

    :raises UsageError: it has no such field, or several custom fields of this name.
    """
    detail = item.detail or {}
    part, _, rest = name.partition(".")
    if part in ("overview", "detail") and rest:
        places: list[Any] = [item.overview if part == "overview" else detail]
        name = rest
    else:
        places = [item.overview, detail, detail.get("variables", {})]
    # Another client may have written it: what has another form than its field is only not found.
    for place in places:
        if not isinstance(place, dict):
            continue
        if name in place:
            return place[name]
        if part in place and isinstance(place[part], dict) and rest in place[part]:
            return place[part][rest]
    fields = detail.get("fields")
    listed = fields if isinstance(fields, list) else []
    own = [each for each in listed if isinstance(each, dict) and each.get("name") == name]
    if len(own) > 1:
        raise UsageError(f"This item has {len(own)} custom fields of that name: use --reveal.")
    if not own:
        raise VaultrError(f"This item has no field {name}.")
    return own[0].get("value", "")


def _show_value(value: Any, *, as_json: bool) -> None:
    if as_json:
        showing.as_json(value)
    else:
        # As it is, also to a terminal: it was asked for by its name.
        showing.exactly(value if isinstance(value, str) else showing.text_of(value))


def _show_table(item: "Item", *, reveal: bool) -> None:
    rows = [*showing.lines_of(item.overview)]
    if reveal:
        rows += showing.lines_of(item.detail or {})
    rows += [("type", item.type), ("id", str(item.id)), ("revision", str(item.revision))]
    if item.state == "trash":
        rows.append(("state", "in the trash"))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        lines = text.split("\n") if reveal else [text]
        for number, line in enumerate(lines):
            label = name if number == 0 else ""
            showing.say(f"{showing.printable(label):<{width}}  {showing.printable(line)}".rstrip())
    if not reveal:
        showing.tell("Secrets are hidden: --reveal shows them, --field NAME prints one.")
