"""Find a field of an item by the name that a user types, and format it as text."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.vaults.name_matching import meant, near, on_one_line

if TYPE_CHECKING:
    from vaultr.client.vaults.reader import Item


_NAMED_MOST: Final = 12


class FieldNotFound(VaultrError):
    """The item has no such field."""


def value_of(item: "Item", name: str) -> Any:
    """Return a field: ``password``, ``overview.title``, a variable, or a custom field's name.

    If no name matches exactly, use one that differs only in case.

    :param item: with its detail; otherwise only its overview is searched.
    :raises FieldNotFound: it has no such field; the message lists its fields.
    :raises UsageError: several fields match.
    """
    try:
        return _called(item, name)
    except FieldNotFound:
        names = list(dict.fromkeys(names_of(item)))
        alike = meant(name, ((each, each) for each in names))
        if len(alike) > 1:
            raise UsageError(
                f"Several fields match: {', '.join(map(on_one_line, alike))}."
            ) from None
        if not alike:
            raise field_not_found(item, name) from None
    return _called(item, alike[0])


def names_of(item: "Item") -> Iterator[str]:
    """List the names of an item's fields, variables and custom fields, without their values.

    :param item: with its detail; otherwise only the names in its overview are listed.
    """
    detail = item.detail or {}
    yield from item.overview
    for name, value in detail.items():
        if name == "variables" and isinstance(value, dict):
            yield from value
        elif name == "fields" and isinstance(value, list):
            named = (each.get("name") for each in value if isinstance(each, dict))
            yield from (each for each in named if isinstance(each, str))
        else:
            yield name


def field_not_found(item: "Item", name: str) -> FieldNotFound:
    """Return the error for an unknown field name; suggest similar names, or list all."""
    names = list(dict.fromkeys(names_of(item)))
    return FieldNotFound(f"This item has no field {name}.{_hint(name, names)}")


def _hint(name: str, names: Sequence[str]) -> str:
    if hint := near(name, names):
        return hint
    shown = [on_one_line(each) for each in names[:_NAMED_MOST]]
    more = [f"and {len(names) - len(shown)} more"] if len(names) > len(shown) else []
    return f" It has {', '.join([*shown, *more])}." if shown else ""


def _called(item: "Item", name: str) -> Any:
    detail = item.detail or {}
    part, _, rest = name.partition(".")
    if part in ("overview", "detail") and rest:
        places: list[Any] = [item.overview if part == "overview" else detail]
        name = rest
    else:
        places = [item.overview, detail, detail.get("variables", {})]
    # Another client may have written a field in another form; then it is not found.
    for place in places:
        if not isinstance(place, dict):
            continue
        if name in place:
            return place[name]
        if part in place and isinstance(place[part], dict) and rest in place[part]:
            return place[part][rest]
    return _custom(detail, name)


def _custom(detail: dict[str, Any], name: str) -> Any:
    fields = detail.get("fields")
    listed = fields if isinstance(fields, list) else []
    own = [each for each in listed if isinstance(each, dict) and each.get("name") == name]
    if len(own) > 1:
        raise UsageError(f"This item has {len(own)} custom fields with this name: use --reveal.")
    if not own:
        raise FieldNotFound(f"This item has no field {name}.")
    return own[0].get("value", "")


def text_of(value: object) -> str:
    """Return a value as text: lists with commas, booleans as yes or no."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
