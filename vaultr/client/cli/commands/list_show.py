"""Commands that read: list and show. Neither prints a secret unless it is asked for."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import click

from vaultr.client.cli import output
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.offline_options import Duration, copy_options, from_copy
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.items.expiry import date_of
from vaultr.client.items.fields import text_of, value_of
from vaultr.client.items.schemas import SCHEMAS

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr

_SEARCHED: Final = ("title", "username", "urls", "folder", "tags", "brand")
# As long whatever it stands for, so that it tells nothing of it.
_HIDDEN: Final = "········"


@command("list", "vaultr list", "vaultr list mail --type login", "vaultr list --offline --json")
@click.argument("words", nargs=-1)
@click.option("--type", "kind", type=click.Choice(list(SCHEMAS)), help="Only items of this type.")
@click.option("--trash", is_flag=True, help="What is in the trash, instead.")
@click.option(
    "--expiring", type=Duration(), metavar="TIME", help="Only items that expire within 30d or so"
)
@copy_options
@vault_option("Only this vault, by id or name.")
@pass_choices
def list_items(
    choices: Choices,
    words: tuple[str, ...],
    kind: str | None,
    trash: bool,
    expiring: timedelta | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """List items, or those that hold all WORDS.

    Words are looked for in titles, user names, addresses, folders and tags. Secrets are not shown.
    """
    state: Literal["active", "trash"] = "trash" if trash else "active"
    with opened(choices) as vaultr:
        copy = from_copy(vaultr, offline=offline, max_age=max_age)
        found = vaultr.items(vault=vault, type=kind, state=state, offline=copy)
        items = sorted((item for item in found if _holds(item, words)), key=_by_title)
        if expiring is not None:
            items = _expiring(items, expiring)
        several = len({item.vault_id for item in items}) > 1
        vaults = _names_of_vaults(vaultr) if several and not choices.json else {}
    if choices.json:
        output.as_json([output.item_json(item, reveal=False) for item in items])
    else:
        _show_list(items, vaults)
    if broken := [str(item.id) for item in items if not item.opens]:
        output.tell(
            f"Not opening, maybe another client's fault: {', '.join(broken)}. vaultr restore ID"
            " --revision N brings an earlier content back, vaultr rm ID moves one to the trash."
        )


def _names_of_vaults(vaultr: "Vaultr") -> dict[UUID, str]:
    return {vault.id: vault.name for vault in vaultr.vaults(offline=True)}


def _show_list(items: "list[Item]", vaults: Mapping[UUID, str]) -> None:
    """Show items in a table, in which vault each is only where they are in several."""
    expiry = any("expires_on" in item.overview for item in items)
    more = [*(["EXPIRES"] if expiry else []), *(["VAULT"] if vaults else [])]
    head = ("TITLE", "TYPE", "USER NAME", "FOLDER", *more, "ID")
    output.table(head, (_row(item, vaults, expiry=expiry) for item in items))
    if not items:
        output.tell("Nothing is there.")


def _holds(item: "Item", words: Iterable[str]) -> bool:
    texts = (text_of(item.overview.get(name, "")) for name in _SEARCHED)
    text = "\n".join(texts).casefold()
    return all(word.casefold() in text for word in words)


def _by_title(item: "Item") -> tuple[str, str]:
    return item.title.casefold(), str(item.id)


def _expiring(items: "list[Item]", within: timedelta) -> "list[Item]":
    """Return the items that expire soon, or have expired, earliest first."""
    last = datetime.now(UTC).date() + within
    dated = [(day, item) for item in items if (day := date_of(item.overview.get("expires_on")))]
    return [item for day, item in sorted(dated, key=lambda each: each[0]) if day <= last]


def _row(item: "Item", vaults: Mapping[UUID, str], *, expiry: bool) -> tuple[str, ...]:
    overview = item.overview
    return (
        output.shortened(output.name_of(item)),
        item.type,
        output.shortened(text_of(overview.get("username", ""))),
        text_of(overview.get("folder", "")),
        *([text_of(overview.get("expires_on", ""))] if expiry else []),
        *([output.shortened(vaults.get(item.vault_id, ""))] if vaults else []),
        str(item.id),
    )


@command(
    "show",
    "vaultr show Mail",
    "vaultr show Mail --field password",
    "vaultr show Mail --json --reveal",
    no_args_is_help=True,
)
@click.argument("item", metavar="ITEM", shell_complete=item_titles)
@click.option("--reveal", is_flag=True, help="Show its secrets, too.")
@click.option(
    "--field",
    metavar="NAME",
    help="Print the value of one field and nothing else.",
    shell_complete=field_names,
)
@copy_options
@vault_option()
@pass_choices
def show(
    choices: Choices,
    item: str,
    reveal: bool,
    field: str | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Show one item; its secrets only if asked for.

    ITEM is an id, or a title that only one item has.

    NAME is a field such as password or username, the name of a custom field, or of a variable.
    """
    with opened(choices) as vaultr:
        copy = from_copy(vaultr, offline=offline, max_age=max_age)
        found = vaultr.item(item, vault=vault, offline=copy)
        vaults = _names_of_vaults(vaultr) if field is None and not choices.json else {}
    home = vaults[found.vault_id] if len(vaults) > 1 else None
    present(choices, found, field=field, reveal=reveal, home=home)


def present(
    choices: Choices, item: "Item", *, field: str | None, reveal: bool, home: str | None = None
) -> None:
    """Show one item, or the value of one of its fields.

    :param home: what its vault is called, where the account has several.
    """
    if field is not None:
        _show_value(value_of(item, field), as_json=choices.json)
    elif choices.json:
        output.as_json(output.item_json(item, reveal=reveal))
    else:
        _show_table(item, home, reveal=reveal)


def _show_value(value: Any, *, as_json: bool) -> None:
    if as_json:
        output.as_json(value)
    else:
        # As it is, also to a terminal: it was asked for by its name.
        output.exactly(value if isinstance(value, str) else text_of(value))


def _show_table(item: "Item", home: str | None, *, reveal: bool) -> None:
    detail = item.detail or {}
    rows = [*output.lines_of(item.overview)]
    rows += _revealed(detail) if reveal else _hidden(detail)
    rows += [("vault", home)] if home is not None else []
    rows += [("type", item.type), ("id", str(item.id)), ("revision", str(item.revision))]
    if item.state == "trash":
        rows.append(("state", "in the trash"))
    output.rows(rows, lines=reveal)
    if not reveal and detail:
        output.tell("Secrets are hidden: --reveal shows them, --field NAME prints one.")


def _revealed(detail: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the secret fields, variables by the names that ``--field`` takes."""
    for name, value in detail.items():
        named = name == "variables" and isinstance(value, dict)
        yield from output.lines_of(value if named else {name: value})


def _hidden(detail: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name the secret fields, as ``--field`` takes them, and nothing of what they hold."""
    for name, value in detail.items():
        if name == "variables" and isinstance(value, dict):
            yield from ((each, _HIDDEN) for each in value)
        elif name == "fields" and isinstance(value, list):
            names = (each.get("name") for each in value if isinstance(each, dict))
            yield from ((each, _HIDDEN) for each in names if isinstance(each, str))
        else:
            yield name, _HIDDEN
