"""Finds one field of an item by the name that a person gives it, and writes it as text."""

import json
from typing import TYPE_CHECKING, Any

from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.vaults.reading import Item


class FieldNotFound(VaultrError):
    """The item has no such field."""

    exit_code = 1


def value_of(item: "Item", name: str) -> Any:
    """Find a field: ``password``, ``overview.title``, a variable, or a custom field's name.

    :param item: with its detail, or only what its overview has is found.
    :raises FieldNotFound: it has no such field.
    :raises UsageError: it has several custom fields of this name.
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
    return _custom(detail, name)


def _custom(detail: dict[str, Any], name: str) -> Any:
    fields = detail.get("fields")
    listed = fields if isinstance(fields, list) else []
    own = [each for each in listed if isinstance(each, dict) and each.get("name") == name]
    if len(own) > 1:
        raise UsageError(f"This item has {len(own)} custom fields of that name: use --reveal.")
    if not own:
        raise FieldNotFound(f"This item has no field {name}.")
    return own[0].get("value", "")


def text_of(value: object) -> str:
    """Write one value for people: text as it is, lists with commas, yes and no."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
