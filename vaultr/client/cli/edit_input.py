"""Build the changes to an item from options, prompts and standard input."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.cli import add_input, output, prompts
from vaultr.client.cli.item_options import ItemOptions, with_custom_fields
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.errors import UsageError
from vaultr.client.items import site_rules
from vaultr.client.items.fields import field_not_found, text_of
from vaultr.client.items.schemas import VARIABLE_NAME, Part, schema_of

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item

_LIST_FIELDS: Final = ("urls", "tags")
_BOOLEAN_FIELDS: Final = ("favourite", "archived")
_BOOLEANS: Final = {"true": True, "yes": True, "false": False, "no": False}


def changes_from_options(
    options: GlobalOptions,
    item: "Item",
    flags: ItemOptions,
    *,
    assignments: tuple[str, ...],
    unset: tuple[str, ...],
) -> tuple[Part, Part]:
    """Return the changes that the options of `edit` request; prompt for secrets last.

    :raises UsageError: a name is both set and removed, or cannot be set.
    :raises FieldNotFound: a field to remove does not exist.
    """
    assigned = {*flags.secrets, *flags.fields, *flags.secret_fields, *flags.overview}
    assigned |= {each.partition("=")[0] for each in assignments}
    if both := {*unset} & assigned:
        raise UsageError(f"Either set or remove {', '.join(sorted(both))}, not both.")
    overview = {**parse_assignments(item.type, assignments), **flags.overview}
    detail: Part = {}
    add_removals(item, unset, overview, detail)
    for name, value in ask_secrets(options, item, flags).items():
        both_are_dicts = isinstance(value, dict) and isinstance(detail.get(name), dict)
        detail[name] = {**detail[name], **value} if both_are_dicts else value
    secret_fields = {name: _read_value(options, name) for name in flags.secret_fields}
    if flags.fields or secret_fields:
        stored = detail.get("fields", (item.detail or {}).get("fields"))
        detail["fields"] = with_custom_fields(stored, flags.fields, secret_fields)
    return overview, detail


def generated(item: "Item", rule: str | None, *, generate: bool) -> tuple[Part, Part]:
    """Return the newly generated values of an item, and the rule to store for it.

    :param rule: a new rule of the site; empty text removes the stored one, None keeps it.
    :raises UsageError: the rule is wrong, or the type has no password.
    """
    detail: Part = {}
    if rule is not None:
        if "password_rule" not in schema_of(item.type).detail:
            raise UsageError(f"--rule works with login only, not with {item.type}.")
        if rule:
            site_rules.parse(rule)
        detail["password_rule"] = rule or None
    if not generate:
        return {}, detail
    stored = (item.detail or {}).get("password_rule")
    public, secrets = add_input.generated(
        item.type, rule if rule is not None else stored if isinstance(stored, str) else None
    )
    return public, {**secrets, **detail}


def parse_assignments(kind: str, assignments: tuple[str, ...]) -> Part:
    """Parse ``NAME=VALUE`` for fields that are not secret.

    :raises UsageError: no such field exists, or it is secret, so its value must not be an argument.
    """
    known = schema_of(kind).overview
    overview: Part = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if name not in known or not equals:
            raise UsageError(
                f"--set takes NAME=VALUE, where NAME is one of {', '.join(known)}."
                " For a secret or a variable, use --secret NAME, which asks for the value."
            )
        if name in _LIST_FIELDS:
            overview.setdefault(name, []).append(value)
        elif name in _BOOLEAN_FIELDS:
            if value not in _BOOLEANS:
                raise UsageError(f"{name} must be true or false.")
            overview[name] = _BOOLEANS[value]
        else:
            overview[name] = value
    return overview


def ask_secrets(options: GlobalOptions, item: "Item", flags: ItemOptions) -> Part:
    """Ask for new values of secret fields, and of variables of an environment set.

    :raises UsageError: no such field exists; or there are several fields and no terminal, and
        standard input can carry only one. Nothing was asked.
    :raises NoCode: a TOTP secret produces no codes.
    """
    asked = (*flags.secrets, *flags.secret_fields)
    if not prompts.can_ask() and len(asked) + (flags.stdin_field is not None) > 1:
        raise UsageError("Without a terminal, only one --secret can be read. Use --json.")
    for name in flags.secrets:
        add_input.secret_target(item.type, name)
    detail: Part = {}
    if flags.stdin_field is not None:
        _set_secret(item, detail, flags.stdin_field, add_input.read_value(options))
    for name in flags.secrets:
        _note_new_variable(item, name)
        _set_secret(item, detail, name, _read_value(options, name))
    return detail


def _set_secret(item: "Item", detail: Part, name: str, value: str) -> None:
    add_input.set_secret(item.type, detail, name, value)
    add_input.check_totp(detail, item.detail)


def _variables(item: "Item") -> Mapping[str, Any]:
    variables = (item.detail or {}).get("variables")
    return variables if isinstance(variables, dict) else {}


def _custom_fields(item: "Item") -> list[Any]:
    fields = (item.detail or {}).get("fields")
    return fields if isinstance(fields, list) else []


def _is_named(field: Any, name: str) -> bool:
    return isinstance(field, dict) and field.get("name") == name


def _note_new_variable(item: "Item", name: str) -> None:
    # Otherwise a typo would silently add a variable.
    _, variable = add_input.secret_target(item.type, name)
    if variable is not None and variable not in _variables(item):
        output.print_note(f"{variable} is a new variable of {output.printable(item.title)}.")


def _read_value(options: GlobalOptions, name: str) -> str:
    if prompts.can_ask() and sys.stdin.isatty():
        if name not in add_input.MULTILINE_FIELD.values():
            label = _label(name.removeprefix("variables."))
            return prompts.ask_hidden(f"New {label}", twice=True)
        text: str = add_input.read_multiline(options, name, "")
        if not text:
            raise UsageError("The text is empty. To remove a field, use --unset NAME.")
        return text
    try:
        return prompts.read_input(options).decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise UsageError("Standard input is not UTF-8.") from None


def _label(name: str) -> str:
    return name if name.isupper() else name.replace("_", " ")


def add_removals(item: "Item", names: tuple[str, ...], overview: Part, detail: Part) -> None:
    """Add the removal of fields and variables, which is None in an edit, and of custom fields.

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
        elif any(_is_named(each, name) for each in _custom_fields(item)):
            kept = detail.get("fields", _custom_fields(item))
            detail["fields"] = [each for each in kept if not _is_named(each, name)]
        else:
            raise field_not_found(item, name)


def prompt_for_changes(options: GlobalOptions, item: "Item") -> tuple[Part, Part]:
    """Ask for title, username, folder and secrets; an empty entry keeps the stored value."""
    if not prompts.can_ask():
        raise UsageError("No changes. Use --set, --unset, --secret or --json.")
    overview = dict(_ask_overview(item))
    if item.type == "env_set":
        variables = dict(_ask_variables(item))
        return overview, {"variables": variables} if variables else {}
    if item.type in add_input.MULTILINE_FIELD:
        # If standard input is not a terminal, its lines answer the prompts above.
        if not sys.stdin.isatty():
            return overview, {}
        name = add_input.MULTILINE_FIELD[item.type]
        hint = ", or press Ctrl-D immediately to keep the stored text"
        entries = {name: add_input.read_multiline(options, name, item.title, hint=hint)}
    else:
        names = add_input.PROMPTED_FIELDS.get(item.type, ())
        entries = {name: add_input.ask_secret(name, hint="empty to keep") for name in names}
    return overview, {name: value for name, value in entries.items() if value}


def _ask_overview(item: "Item") -> Iterator[tuple[str, str]]:
    # `add` does not ask for the username of a note, key or set either.
    no_username = item.type in add_input.MULTILINE_FIELD and "username" not in item.overview
    for name in ("title", "folder") if no_username else ("title", "username", "folder"):
        stored = text_of(item.overview.get(name, ""))
        # click would print the default unescaped, and it may contain control characters.
        label = name.capitalize()
        prompt = f"{label} [{output.printable(stored)}]" if stored else label
        entry = click.prompt(prompt, stored, err=True, show_default=False)
        if entry != stored:
            yield name, entry


def _ask_variables(item: "Item") -> Iterator[tuple[str, str]]:
    if names := ", ".join(map(output.printable, _variables(item))):
        output.print_note(f"Variables: {names}")
    while name := click.prompt(
        "Variable to set (empty to finish)", "", err=True, show_default=False
    ):
        if VARIABLE_NAME.fullmatch(name):
            _note_new_variable(item, name)
            yield name, prompts.ask_hidden(f"New {_label(name)}", twice=True)
        else:
            output.print_note(f"A variable name has {add_input.NAME_RULE}.")
