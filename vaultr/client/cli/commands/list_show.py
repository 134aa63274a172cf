"""The commands `vaultr list` and `vaultr show`, which print secrets only on request."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.offline_options import Duration, copy_options, uses_copy
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import ItemNotFound, VaultrError
from vaultr.client.items.fields import text_of, value_of
from vaultr.client.items.schemas import SCHEMAS, date_of

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr

_SEARCHED_FIELDS: Final = ("title", "username", "urls", "folder", "tags", "brand")


def _by_title(item: "Item") -> tuple[str, str]:
    return item.title.casefold(), str(item.id)


# Items with the same key are sorted by title.
_SORT_KEYS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "title": _by_title,
    "type": lambda item: item.type,
    "folder": lambda item: text_of(item.overview.get("folder", "")).casefold(),
    "created": lambda item: str(output.time_text(item.created_at)),
    "updated": lambda item: str(output.time_text(item.updated_at)),
}
# The same length for every value, so that it reveals nothing.
_HIDDEN: Final = "········"
_MAX_CHOICES: Final = 20


@command(
    "list",
    "vaultr list",
    "vaultr list mail --type login",
    "vaultr list --folder Work --tag prod --sort updated",
    "vaultr list --offline --json",
)
@click.argument("words", nargs=-1)
@click.option("--type", "kind", type=click.Choice(list(SCHEMAS)), help="Only items of this type")
@click.option("--folder", help="Only items in this folder and the folders in it")
@click.option("--tag", "tags", multiple=True, help="Only items with this tag (repeatable)")
@click.option("--favourite", is_flag=True, help="Only favourites")
@click.option("--archived", is_flag=True, help="Only archived items")
@click.option("--trash", is_flag=True, help="List the items in the trash")
@click.option(
    "--expiring",
    type=Duration(),
    metavar="TIME",
    help="Only items that expire within this time, such as 30d",
)
@click.option(
    "--sort",
    type=click.Choice(list(_SORT_KEYS)),
    default="title",
    help="Order of the list (default: title)",
)
@copy_options
@vault_option("Only this vault, by id or name")
@pass_options
def list_items(
    options: GlobalOptions,
    words: tuple[str, ...],
    kind: str | None,
    trash: bool,
    sort: str,
    expiring: timedelta | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
    **filters: Any,
) -> None:
    """List items, or only those that contain all WORDS.

    WORDS are searched in titles, usernames, URLs, folders, tags and the names of custom fields.
    Secrets are not shown.
    """
    state: Literal["active", "trash"] = "trash" if trash else "active"
    with unlocked_sdk(options) as vaultr:
        from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        candidates = vaultr.items(vault=vault, type=kind, state=state, offline=from_copy)
        selected = [item for item in candidates if _passes(item, **filters)]
        found = [item for item in selected if _contains(vaultr, item, words)]
        items = sorted(sorted(found, key=_by_title), key=_SORT_KEYS[sort])
        if expiring is not None:
            items = _expiring(items, expiring)
        several = len({item.vault_id for item in items}) > 1
        vaults = _vault_names(vaultr) if several and not options.json else {}
    if options.json:
        output.print_json([output.item_json(item, reveal=False) for item in items])
    else:
        _print_list(items, vaults)
    if broken := [str(item.id) for item in items if not item.opens]:
        output.print_note(
            f"Cannot open {', '.join(broken)}; a faulty client may have written it. Restore"
            " an earlier version with `vaultr restore ID --revision N`, or move it to the trash"
            " with `vaultr rm ID`."
        )


def _vault_names(vaultr: "Vaultr") -> dict[UUID, str]:
    return {vault.id: vault.name for vault in vaultr.vaults(offline=True)}


def _print_list(items: "list[Item]", vaults: Mapping[UUID, str]) -> None:
    """Print a table of items, with the vault of each if there are several vaults."""
    expiry = any("expires_on" in item.overview for item in items)
    more = [*(["EXPIRES"] if expiry else []), *(["VAULT"] if vaults else [])]
    head = ("TITLE", "TYPE", "USERNAME", "FOLDER", *more, "ID")
    output.print_table(head, (_row(item, vaults, expiry=expiry) for item in items))
    if not items:
        output.print_note("No items found.")


def _passes(
    item: "Item", *, folder: str | None, tags: tuple[str, ...], favourite: bool, archived: bool
) -> bool:
    """Check whether an item matches the filters of `list`, ignoring case."""
    overview = item.overview
    if folder is not None:
        path, wanted = text_of(overview.get("folder", "")).casefold(), folder.casefold().strip("/")
        if path != wanted and not path.startswith(f"{wanted}/"):
            return False
    own_tags = text_of(overview.get("tags", [])).casefold().split(", ")
    return (
        all(tag.casefold() in own_tags for tag in tags)
        and (not favourite or overview.get("favourite") is True)
        and (not archived or overview.get("archived") is True)
    )


def _contains(vaultr: "Vaultr", item: "Item", words: Iterable[str]) -> bool:
    """Check whether an item contains all words; open its detail only if necessary."""
    texts = [text_of(item.overview.get(name, "")) for name in _SEARCHED_FIELDS]
    missing = [word for word in words if word.casefold() not in "\n".join(texts).casefold()]
    if not missing or not item.opens:
        return not missing
    revealed = vaultr.item(str(item.id), vault=str(item.vault_id), offline=True)
    names = "\n".join(custom_field_names(revealed.detail or {})).casefold()
    return all(word.casefold() in names for word in missing)


def _expiring(items: "list[Item]", within: timedelta) -> "list[Item]":
    """Return the items that expire soon, or have expired, earliest first."""
    last = datetime.now(UTC).date() + within
    dated = [(day, item) for item in items if (day := date_of(item.overview.get("expires_on")))]
    return [item for day, item in sorted(dated, key=lambda each: each[0]) if day <= last]


def _row(item: "Item", vaults: Mapping[UUID, str], *, expiry: bool) -> tuple[str, ...]:
    overview = item.overview
    archived = " (archived)" if overview.get("archived") is True else ""
    return (
        f"{output.shortened(output.display_name(item))}{archived}",
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
@click.option("--reveal", is_flag=True, help="Show the secrets")
@click.option(
    "--field",
    metavar="NAME",
    help="Print only the value of this field",
    shell_complete=field_names,
)
@copy_options
@vault_option()
@pass_options
def show(
    options: GlobalOptions,
    item: str,
    reveal: bool,
    field: str | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Show an item, without its secrets.

    ITEM is an id or a unique title. If no title is equal to ITEM, Vaultr shows the only item whose
    title contains it; on a terminal, you can choose between several. NAME is a field, such as
    password or username, a custom field or a variable.
    """
    with unlocked_sdk(options) as vaultr:
        from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        scripted = (options.json or field is not None) and not prompts.can_ask()
        try:
            found = vaultr.item(item, vault=vault, offline=from_copy)
        except ItemNotFound:
            # A script must not get the secret of an item that it did not name exactly.
            similar = None if scripted else _choose_by_part(vaultr, item, vault)
            if similar is None:
                raise
            found = similar
        vaults = _vault_names(vaultr) if field is None and not options.json else {}
    vault_name = vaults[found.vault_id] if len(vaults) > 1 else None
    print_item(options, found, field=field, reveal=reveal, vault_name=vault_name)


def _choose_by_part(vaultr: "Vaultr", part: str, vault: str | None) -> "Item | None":
    """Return the item whose title contains ``part``, or None; ask if there are several."""
    wanted = part.casefold().strip()
    items = vaultr.items(vault=vault, offline=True)
    found = sorted((each for each in items if wanted in each.title.casefold()), key=_by_title)
    if not wanted or not found or (len(found) > 1 and not prompts.can_ask()):
        return None
    chosen = found[0] if len(found) == 1 else _choose(part, found)
    output.print_note(f"Showing {output.printable(chosen.title)}.")
    return vaultr.item(str(chosen.id), vault=str(chosen.vault_id), offline=True)


def _choose(part: str, items: "list[Item]") -> "Item":
    if len(items) > _MAX_CHOICES:
        raise VaultrError(
            f"{len(items)} titles contain {output.printable(part)}. Type more of the title, or see"
            " `vaultr list`."
        )
    for number, item in enumerate(items, start=1):
        username = text_of(item.overview.get("username", ""))
        label = f"{item.title}  {username}".strip()
        output.print_note(f"{number:>3}  {output.printable(label)}")
    number = click.prompt("Which one", type=click.IntRange(1, len(items)), err=True)
    return items[int(number) - 1]


def print_item(
    options: GlobalOptions,
    item: "Item",
    *,
    field: str | None,
    reveal: bool,
    vault_name: str | None = None,
) -> None:
    """Print an item, or the value of one of its fields.

    :param vault_name: the name of its vault, if the account has several.
    """
    if field is not None:
        _print_field(value_of(item, field), as_json=options.json)
    elif options.json:
        output.print_json(output.item_json(item, reveal=reveal))
    else:
        _print_fields(item, vault_name, reveal=reveal)


def _print_field(value: Any, *, as_json: bool) -> None:
    if as_json:
        output.print_json(value)
    else:
        # Unescaped, even on a terminal: the user asked for exactly this value.
        output.print_value(value if isinstance(value, str) else text_of(value))


def _print_fields(item: "Item", vault_name: str | None, *, reveal: bool) -> None:
    detail = item.detail or {}
    rows = [*output.field_texts(item.overview)]
    rows += _secret_texts(detail) if reveal else _hidden_texts(detail)
    rows += [("vault", vault_name)] if vault_name is not None else []
    rows += [("type", item.type), ("id", str(item.id)), ("revision", str(item.revision))]
    if item.state == "trash":
        rows.append(("state", "in the trash"))
    output.print_fields(rows, multiline=reveal)
    if not reveal and detail:
        output.print_note("Secrets are hidden. --reveal shows all, --field NAME prints one.")


def _secret_texts(detail: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and texts of secret fields, with the names that ``--field`` accepts."""
    for name, value in detail.items():
        if name == "fields" and isinstance(value, list):
            yield from _custom_field_texts(value)
        else:
            is_variables = name == "variables" and isinstance(value, dict)
            yield from output.field_texts(value if is_variables else {name: value})


def _custom_field_texts(fields: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of custom fields; identify malformed ones by their position."""
    for number, field in enumerate(fields, start=1):
        if isinstance(field, dict) and isinstance(field.get("name"), str):
            yield field["name"], text_of(field.get("value", ""))
        else:
            yield from output.field_texts({f"fields[{number}]": field})


def custom_field_names(detail: Mapping[str, Any]) -> list[str]:
    """Return the names of the custom fields of an item."""
    fields = detail.get("fields")
    listed = fields if isinstance(fields, list) else []
    names = [each.get("name") for each in listed if isinstance(each, dict)]
    return [each for each in names if isinstance(each, str)]


def _hidden_texts(detail: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of secret fields, as ``--field`` accepts them, without their values."""
    for name, value in detail.items():
        if name == "variables" and isinstance(value, dict):
            yield from ((each, _HIDDEN) for each in value)
        elif name == "fields" and isinstance(value, list):
            yield from ((each, _HIDDEN) for each in custom_field_names(detail))
        else:
            yield name, _HIDDEN
