"""Builds what is added or changed, from options, prompts and standard input."""

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.cli import asking, showing
from vaultr.client.cli.options import Choices
from vaultr.client.errors import UsageError
from vaultr.client.items.fields import text_of
from vaultr.client.items.generating import PasswordRule, password
from vaultr.client.items.schemas import SCHEMAS, Part
from vaultr.client.strict_json import read_object

if TYPE_CHECKING:
    from vaultr.client.api import Item

_LISTS: Final = ("urls", "tags")
_FLAGS: Final = ("favourite", "archived")
# What `show --json` writes beside the two parts; an edit takes it back unseen.
_BESIDE: Final = ("id", "vault_id", "type", "revision", "state", "created_at", "updated_at")
# What is read to the end of standard input, because it has several lines.
_LONG: Final = {"note": "notes", "ssh_key": "private_key", "env_set": "variables"}
# Asked for when an item is added or edited by hand; all else comes by --json or an import.
_ASKED: Final = {
    "login": ("password", "totp"),
    "api_key": ("key", "secret"),
    "card": ("cardholder", "number", "exp_month", "exp_year", "code"),
    "identity": ("first_name", "last_name", "email", "phone"),
}
_LABELS: Final = {
    "totp": "TOTP secret",
    "exp_month": "Month of expiry",
    "exp_year": "Year of expiry",
    "code": "Security code",
}
_YES_AND_NO: Final = {"true": True, "yes": True, "false": False, "no": False}


def said_in_options(
    *,
    title: str | None,
    username: str | None,
    address: tuple[str, ...],
    folder: str | None,
    tag: tuple[str, ...],
    favourite: bool,
) -> Part:
    """Give the overview that the options of `add` say; what was not said is left out."""
    said = {
        "title": title,
        "username": username,
        "urls": list(address),
        "folder": folder,
        "tags": list(tag),
        "favourite": favourite,
    }
    return {name: value for name, value in said.items() if value}


def document_of(data: bytes, kind: str | None) -> dict[str, Any]:
    """Read an item as `show --json` writes it; all of it may be left out.

    :raises UsageError: it is no such JSON; names what is odd, never a value.
    """
    try:
        document = read_object(data)
    except ValueError as error:
        # The message of a JSON error names the place, never what is there.
        raise UsageError(f"Standard input is not an item in JSON: {error}") from None
    odd = [name for name in document if name not in (*_BESIDE, "overview", "detail")]
    if odd:
        raise UsageError(
            f"Standard input: an item has overview and detail, but not {', '.join(odd)}."
        )
    for part in ("overview", "detail"):
        if not isinstance(document.get(part, {}), dict):
            raise UsageError(f"Standard input: {part} must be an object.")
    revision = document.get("revision")
    if revision is not None and (type(revision) is not int or revision < 1):
        raise UsageError("Standard input: revision must be a whole number from 1.")
    if kind is not None and document.get("type", kind) != kind:
        raise UsageError(f"Standard input holds another type than {kind}.")
    return document


def drawn(kind: str, wanted: bool) -> Part:
    """Draw the password of a login, where that is wanted.

    :raises UsageError: the type has no password.
    """
    if not wanted:
        return {}
    if "password" not in SCHEMAS[kind].detail:
        raise UsageError(f"A {kind} has no password that could be drawn.")
    return {"password": password(PasswordRule())}


def asked(choices: Choices, kind: str, given: Part, drawn: Part) -> tuple[Part, Part]:
    """Ask for what the options did not say, and for the secrets of the type.

    :param drawn: secrets that are there already, and so are not asked for.
    """
    detail = dict(drawn)
    overview = dict(given)
    if "title" not in overview:
        if not asking.can_ask():
            raise UsageError("Say --title, or hand the item over by --json.")
        overview = {"title": click.prompt("Title", err=True), **overview}
    if kind in _LONG:
        detail = {_LONG[kind]: _long_value(choices, _LONG[kind], overview["title"])}
    elif asking.can_ask():
        if kind == "login" and "username" not in overview:
            username = click.prompt("Username (empty for none)", "", err=True, show_default=False)
            overview.update({"username": username} if username else {})
        answers = {name: _ask_secret(name) for name in _ASKED[kind] if name not in drawn}
        detail |= {name: value for name, value in answers.items() if value}
    elif not drawn:
        raise UsageError("There is no terminal to ask for secrets on: use --json.")
    return overview, detail


def _ask_secret(name: str, *, hint: str = "empty for none") -> str:
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    return asking.ask_hidden(f"{label} ({hint})", empty=True)


def _long_value(choices: Choices, name: str, title: str) -> Any:
    with asking.unechoed():
        if sys.stdin.isatty():
            what = "NAME=value lines" if name == "variables" else name.replace("_", " ")
            showing.tell(f"Type or paste the {what}; nothing is shown of it.")
            showing.tell("End with Ctrl-D on a line of its own.")
        data = asking.read_input(choices)
    if name == "variables":
        # One type of seven needs the reader of dotenv files.
        from vaultr.client.imports import dotenv  # noqa: PLC0415 - late, see above

        [draft] = dotenv.read(data, title=title)
        return draft.detail["variables"]
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None


def assigned(kind: str, assignments: tuple[str, ...]) -> Part:
    """Read ``NAME=VALUE`` of fields that are not secret.

    :raises UsageError: no such field, or a secret one, which no argument may hold.
    """
    overview: Part = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if name not in SCHEMAS[kind].overview or not equals:
            raise UsageError(
                f"--set takes NAME=VALUE of {', '.join(SCHEMAS[kind].overview)}."
                " A secret is set by --secret NAME, which asks for it."
            )
        if name in _LISTS:
            overview.setdefault(name, []).append(value)
        elif name in _FLAGS:
            if value not in _YES_AND_NO:
                raise UsageError(f"{name} is true or false.")
            overview[name] = _YES_AND_NO[value]
        else:
            overview[name] = value
    return overview


def secrets_asked(choices: Choices, item: "Item", names: tuple[str, ...]) -> Part:
    """Ask for the new values of secret fields; a single one may come by standard input."""
    detail: Part = {}
    for name in names:
        if not asking.can_ask() and len(names) > 1:
            raise UsageError("Without a terminal only one --secret can be read; use --json.")
        field, _, variable = name.partition(".")
        known = SCHEMAS[item.type].detail
        if field == "variables" and variable and "variables" in known:
            held = detail.get("variables", (item.detail or {}).get("variables", {}))
            detail["variables"] = {**held, variable: _new_value(choices, variable)}
        elif name == "variables" or name not in known or name in ("fields", "source"):
            raise UsageError(f"{item.type} has no secret field {name} that can be typed.")
        else:
            detail[name] = _new_value(choices, name)
    return detail


def _new_value(choices: Choices, name: str) -> str:
    if asking.can_ask() and sys.stdin.isatty():
        return asking.ask_hidden(f"New {name.replace('_', ' ')}", twice=True)
    try:
        return asking.read_input(choices).decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None


def take_away(item: "Item", names: tuple[str, ...], overview: Part, detail: Part) -> None:
    """Note the removal of fields, which is null for an edit.

    :raises UsageError: the item has no such field.
    """
    for name in names:
        field, _, variable = name.partition(".")
        held = detail.get(field, (item.detail or {}).get(field))
        if variable and isinstance(held, dict) and variable in held:
            detail[field] = {each: held[each] for each in held if each != variable}
        elif name in item.overview:
            overview[name] = None
        elif name in (item.detail or {}):
            detail[name] = None
        else:
            raise UsageError(f"This item has no field {name}.")


def asked_again(item: "Item") -> tuple[Part, Part]:
    """Ask for title, user name, folder and secrets; an empty answer keeps what is there."""
    if not asking.can_ask():
        raise UsageError("Say what to change: --set, --unset, --secret or --json.")
    overview: Part = {}
    for name in ("title", "username", "folder"):
        now = text_of(item.overview.get(name, ""))
        # Shown by ourselves: a text from elsewhere may hold what a terminal obeys.
        shown = f"{name.capitalize()} [{showing.printable(now)}]" if now else name.capitalize()
        answer = click.prompt(shown, now, err=True, show_default=False)
        if answer != now:
            overview[name] = answer
    answers = {name: _ask_secret(name, hint="empty keeps it") for name in _ASKED.get(item.type, ())}
    return overview, {name: value for name, value in answers.items() if value}
