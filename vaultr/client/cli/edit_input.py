"""Builds the changes of an item that is there, from options, prompts and standard input."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.cli import add_input, output, prompts
from vaultr.client.cli.options import Choices
from vaultr.client.errors import UsageError
from vaultr.client.items import site_rules
from vaultr.client.items.fields import FieldNotFound, names_of, text_of
from vaultr.client.items.schemas import VARIABLE_NAME, Part, schema_of
from vaultr.client.vaults.name_matching import near

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item

_LISTS: Final = ("urls", "tags")
_FLAGS: Final = ("favourite", "archived")
_YES_AND_NO: Final = {"true": True, "yes": True, "false": False, "no": False}
# Fields that hold records, or names of their own, and no one text.
_NOT_TYPED: Final = ("fields", "source", "passkeys", "history", "variables")
_NAME_RULE: Final = "letters, digits and _, and no digit first"


def said_in_options(
    choices: Choices,
    item: "Item",
    *,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
    secrets: tuple[str, ...],
) -> tuple[Part, Part]:
    """Give the changes that the options of `edit` say; secrets are asked for last.

    :raises UsageError: one name is set and removed, or cannot be set.
    :raises FieldNotFound: what is to be removed is not there.
    """
    if twice := {*unset} & {*secrets, *(each.partition("=")[0] for each in assignments)}:
        raise UsageError(f"{', '.join(sorted(twice))}: either set it or remove it.")
    overview = assigned(item.type, assignments)
    detail: Part = {}
    take_away(item, unset, overview, detail)
    asked = secrets_asked(choices, item, secrets)
    if "variables" in asked and detail.get("variables"):
        asked["variables"] = {**detail["variables"], **asked["variables"]}
    return overview, {**detail, **asked}


def generated(item: "Item", rule: str | None, *, generate: bool) -> tuple[Part, Part]:
    """Return what is generated anew for an item, and the rule that is kept for it.

    :param rule: a new rule of the site; empty text removes the present one, None keeps it.
    :raises UsageError: the rule is wrong, or the type has no password.
    """
    detail: Part = {}
    if rule is not None:
        if "password_rule" not in schema_of(item.type).detail:
            raise UsageError(f"--rule goes with login, not with {item.type}.")
        if rule:
            site_rules.parse(rule)
        detail["password_rule"] = rule or None
    if not generate:
        return {}, detail
    kept = (item.detail or {}).get("password_rule")
    public, secrets = add_input.generated(
        item.type, rule if rule is not None else kept if isinstance(kept, str) else None
    )
    return public, {**secrets, **detail}


def assigned(kind: str, assignments: tuple[str, ...]) -> Part:
    """Read ``NAME=VALUE`` of fields that are not secret.

    :raises UsageError: no such field, or a secret one, which no argument may hold.
    """
    known = schema_of(kind).overview
    overview: Part = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if name not in known or not equals:
            raise UsageError(
                f"--set takes NAME=VALUE of {', '.join(known)}."
                " A secret, or a variable, is set by --secret NAME, which asks for it."
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
    """Ask for the new values of secret fields, and of variables of an environment set.

    :raises UsageError: there is no such field; or several came without a terminal, where one
        alone can be read by standard input. Nothing was asked for.
    :raises NoCode: a TOTP secret is none.
    """
    if not prompts.can_ask() and len(names) > 1:
        raise UsageError("Without a terminal only one --secret can be read; use --json.")
    places = [_place(item, name) for name in names]
    detail: Part = {}
    for field, variable in places:
        if variable is None:
            detail[field] = _new_value(choices, field)
            add_input.check_totp(detail, item.detail)
        else:
            _tell_if_new(item, variable)
            detail.setdefault(field, {})[variable] = _new_value(choices, variable)
    return detail


def _place(item: "Item", name: str) -> tuple[str, str | None]:
    """Find which field is meant, or which variable in it.

    :raises UsageError: there is none that can be typed.
    """
    known = schema_of(item.type).detail
    typed = [each for each in known if each not in _NOT_TYPED]
    if name in typed:
        return name, None
    if "variables" in known:
        variable = name.removeprefix("variables.")
        if name in known or not VARIABLE_NAME.fullmatch(variable):
            raise UsageError(f"{name} is no variable: a name is {_NAME_RULE}.")
        return "variables", variable
    raise UsageError(
        f"{item.type} has no secret field {name} that can be typed. It has {', '.join(typed)}."
    )


def _variables(item: "Item") -> Mapping[str, Any]:
    held = (item.detail or {}).get("variables")
    return held if isinstance(held, dict) else {}


def _tell_if_new(item: "Item", variable: str) -> None:
    # One that is mistyped would otherwise be added without a word.
    if variable not in _variables(item):
        output.tell(f"{variable} is a new variable of {output.printable(item.title)}.")


def _new_value(choices: Choices, name: str) -> str:
    if prompts.can_ask() and sys.stdin.isatty():
        if name not in add_input.LONG.values():
            return prompts.ask_hidden(f"New {_label(name)}", twice=True)
        text: str = add_input.long_value(choices, name, "")
        if not text:
            raise UsageError("Nothing was typed. --unset NAME removes a field.")
        return text
    try:
        return prompts.read_input(choices).decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None


def _label(name: str) -> str:
    return name if name.isupper() else name.replace("_", " ")


def take_away(item: "Item", names: tuple[str, ...], overview: Part, detail: Part) -> None:
    """Note the removal of fields and variables, which is null for an edit.

    :raises FieldNotFound: the item has no such field.
    """
    for name in names:
        variable = name.removeprefix("variables.")
        if name in item.overview:
            overview[name] = None
        elif name in (item.detail or {}):
            detail[name] = None
        elif variable in _variables(item):
            detail.setdefault("variables", {})[variable] = None
        else:
            raise FieldNotFound(f"This item has no field {name}.{near(name, names_of(item))}")


def asked_again(choices: Choices, item: "Item") -> tuple[Part, Part]:
    """Ask for title, user name, folder and secrets; an empty answer keeps what is there."""
    if not prompts.can_ask():
        raise UsageError("Say what to change: --set, --unset, --secret or --json.")
    overview = dict(_overview_asked(item))
    if item.type == "env_set":
        variables = dict(_variables_asked(item))
        return overview, {"variables": variables} if variables else {}
    if item.type in add_input.LONG:
        # Where standard input is no terminal it holds answers to the prompts above.
        if not sys.stdin.isatty():
            return overview, {}
        name = add_input.LONG[item.type]
        hint = "; at once it keeps what is there"
        answers = {name: add_input.long_value(choices, name, item.title, hint=hint)}
    else:
        asked = add_input.ASKED.get(item.type, ())
        answers = {name: add_input.ask_secret(name, hint="empty keeps it") for name in asked}
    return overview, {name: value for name, value in answers.items() if value}


def _overview_asked(item: "Item") -> Iterator[tuple[str, str]]:
    # Who adds a note or a set is not asked for a user name either.
    without = item.type in add_input.LONG and "username" not in item.overview
    for name in ("title", "folder") if without else ("title", "username", "folder"):
        now = text_of(item.overview.get(name, ""))
        # Shown by ourselves: a text from elsewhere may hold what a terminal obeys.
        shown = f"{name.capitalize()} [{output.printable(now)}]" if now else name.capitalize()
        answer = click.prompt(shown, now, err=True, show_default=False)
        if answer != now:
            yield name, answer


def _variables_asked(item: "Item") -> Iterator[tuple[str, str]]:
    if names := ", ".join(map(output.printable, _variables(item))):
        output.tell(f"Its variables: {names}.")
    while name := click.prompt("Set which variable (empty ends)", "", err=True, show_default=False):
        if VARIABLE_NAME.fullmatch(name):
            _tell_if_new(item, name)
            yield name, prompts.ask_hidden(f"New {_label(name)}", twice=True)
        else:
            output.tell(f"A name is {_NAME_RULE}.")
