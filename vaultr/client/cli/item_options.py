"""Options of add and edit that set the fields of an item."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import click

from vaultr.client.cli.completers import field_names
from vaultr.client.errors import UsageError
from vaultr.client.items.schemas import Part

# How a browser compares a URL with a page; the names are those of Bitwarden imports.
URL_MATCHES: Final = ("domain", "host", "starts_with", "exact", "regex", "never")


_OVERVIEW_OPTIONS: Final = (
    *("title", "username", "address", "match", "folder", "tag", "favourite", "expires_on"),
)
_OTHER_OPTIONS: Final = (
    *("fields", "secret_fields", "secrets", "stdin_field", "generate", "editor"),
)
_OPTIONS: Final = (
    click.option("--title", help="Title of the item"),
    click.option("--username", help="Username (not secret)"),
    click.option("--address", multiple=True, metavar="URL", help="Website URL (repeatable)"),
    click.option(
        "--match",
        type=click.Choice(URL_MATCHES),
        help="How the URLs of --address match a web page",
    ),
    click.option("--folder", help="Folder; nested folders are separated by /"),
    click.option("--tag", multiple=True, help="Tag (repeatable)"),
    click.option("--favourite", is_flag=True, help="Mark as favourite"),
    click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME=VALUE",
        help="Custom field that is not secret (repeatable)",
    ),
    click.option(
        "--secret-field",
        "secret_fields",
        multiple=True,
        metavar="NAME",
        help="Custom field that is secret; asks for it (repeatable)",
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME",
        help="Secret field or variable; asks for it, or reads stdin (repeatable)",
        shell_complete=field_names,
    ),
    click.option(
        "--stdin",
        "stdin_field",
        metavar="NAME",
        help="Secret field or variable to read from standard input",
        shell_complete=field_names,
    ),
    click.option("--expires-on", metavar="DATE", help="Expiry date, such as 2027-01-31"),
    click.option("--generate", is_flag=True, help="Generate the password or SSH key"),
    click.option(
        "--editor", is_flag=True, help="Edit the whole item in $EDITOR, in a file in memory"
    ),
)


@dataclass(frozen=True, slots=True)
class ItemOptions:
    """Values of the options that set fields.

    :ivar overview: the non-secret fields that an option sets.
    :ivar fields: custom fields by name, as ``--field NAME=VALUE`` sets them.
    :ivar secret_fields: names of custom fields whose values to ask for.
    :ivar secrets: names of secret fields and variables whose values to ask for.
    :ivar stdin_field: the secret field or variable to read from standard input.
    """

    overview: Part
    fields: dict[str, str]
    secret_fields: tuple[str, ...]
    secrets: tuple[str, ...]
    stdin_field: str | None
    generate: bool
    editor: bool

    @property
    def any_set(self) -> bool:
        """Check whether an option sets anything."""
        return bool(
            self.overview
            or self.fields
            or self.secret_fields
            or self.secrets
            or self.stdin_field
            or self.generate
        )


def item_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options, and pass their values as ``item``."""

    @wraps(function)
    def with_item(*args: Any, **kwargs: Any) -> Any:
        names = (*_OVERVIEW_OPTIONS, *_OTHER_OPTIONS)
        values = {name: kwargs.pop(name) for name in names}
        return function(*args, item=_parse(**values), **kwargs)

    decorated: Callable[..., Any] = with_item
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _parse(
    *,
    title: str | None,
    username: str | None,
    address: tuple[str, ...],
    match: str | None,
    folder: str | None,
    tag: tuple[str, ...],
    favourite: bool,
    expires_on: str | None,
    fields: tuple[str, ...],
    **others: Any,
) -> ItemOptions:
    if match is not None and not address:
        raise UsageError("--match needs --address URL.")
    values = {
        "title": title,
        "username": username,
        "urls": list(address),
        "url_match": dict.fromkeys(address, match) if match else None,
        "folder": folder,
        "tags": list(tag),
        "favourite": favourite,
        "expires_on": expires_on,
    }
    overview = {name: value for name, value in values.items() if value}
    return ItemOptions(overview, _parse_fields(fields), **others)


def _parse_fields(assignments: tuple[str, ...]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise UsageError(
                "--field takes NAME=VALUE. For a secret, use --secret-field NAME, which asks for"
                " the value."
            )
        fields[name] = value
    return fields


def with_custom_fields(stored: Any, texts: dict[str, str], secrets: dict[str, str]) -> list[Any]:
    """Return an item's custom fields after setting some; the order stays, new ones are last.

    :param stored: the stored list of custom fields, or something else if the item has none.
    """
    new = {name: {"name": name, "kind": "text", "value": value} for name, value in texts.items()}
    new |= {name: {"name": name, "kind": "hidden", "value": v} for name, v in secrets.items()}
    result = []
    for each in stored if isinstance(stored, list) else []:
        name = each.get("name") if isinstance(each, dict) else None
        replacement = new.pop(name, None) if isinstance(name, str) else None
        result.append(each if replacement is None else {**each, **replacement})
    return [*result, *new.values()]
