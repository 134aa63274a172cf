"""The fields of each item type, with checks whose messages contain field names but no values."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

from vaultr.client.errors import VaultrError
from vaultr.client.vaults.plaintext import (
    NESTING_MOST,
    encode,
    is_nested_deep,
    may_be_nested_deep,
)
from vaultr.protocol.sealed import OVERHEAD, padded_size
from vaultr.protocol.sizes import ITEM_BYTES

Part = dict[str, Any]
# What is wrong with a field: the place in it, such as ``[2].name`` or nothing, and the fault.
Found = Sequence[tuple[str, str]]
Check = Callable[[object], Found]
Encoded = tuple[bytes | None, bytes | None]
Faults = list[tuple[str, str]]  # the field, and what is wrong with it

# Source: POSIX.1-2024 XBD 8.1, names of environment variables that a shell can set.
VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
# NUL, which ends a value in a shell, and lone surrogates, which UTF-8 cannot encode.
NO_VALUE: Final = re.compile("[\0\ud800-\udfff]")


class ItemInvalid(VaultrError):
    """An item does not match the schema of its type.

    :param faults: the fields, such as ``overview.title``, and what is wrong; never a value.
    """

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{where} {what}" for where, what in faults))


@dataclass(frozen=True, slots=True)
class Draft:
    """An item that is not in a vault yet."""

    type: str
    overview: Part = field(repr=False)
    detail: Part = field(repr=False)


@dataclass(frozen=True, slots=True)
class Schema:
    """The known fields of one type. Unknown fields belong to newer clients and are kept."""

    overview: Mapping[str, Check]
    detail: Mapping[str, Check]


# An import checks a dozen fields of each entry, nearly all of them valid.
_FINE: Final[Found] = ()


def _text(value: object) -> Found:
    return _FINE if isinstance(value, str) else [("", "must be text")]


def _title(value: object) -> Found:
    if isinstance(value, str) and value.strip():
        return _FINE
    return [("", "must be text that is not empty")]


def _flag(value: object) -> Found:
    return _FINE if isinstance(value, bool) else [("", "must be true or false")]


def _texts(value: object) -> Found:
    if isinstance(value, list) and _are_texts(value):
        return _FINE
    return [("", "must be a list of texts")]


def _date(value: object) -> Found:
    try:
        given = isinstance(value, str) and bool(_DAY.fullmatch(value)) and date.fromisoformat(value)
    except ValueError:
        given = False
    return _FINE if given else [("", "must be a date such as 2027-01-31")]


def _object(value: object) -> Found:
    return _FINE if isinstance(value, dict) else [("", "must be an object")]


def _text_by_name(value: object) -> Found:
    if isinstance(value, dict) and _are_texts(value.values()):
        return _FINE
    return [("", "must be an object whose values are texts")]


def _are_texts(values: Iterable[object]) -> bool:
    for each in values:  # noqa: SIM110 - faster than all() for the few values of an item
        if not isinstance(each, str):
            return False
    return True


def _records(*required: str) -> Check:
    """Return a check for a list of objects with the strings ``required``."""

    def check(value: object) -> Found:
        if not isinstance(value, list):
            return [("", "must be a list of objects")]
        found = []
        for number, each in enumerate(value, start=1):
            if not isinstance(each, dict):
                found.append((f"[{number}]", "must be an object"))
                continue
            for name in required:
                if not isinstance(each.get(name), str):
                    found.append((f"[{number}].{name}", "must be text"))
        return found

    return check


def _variables(value: object) -> Found:
    if not isinstance(value, dict):
        return [("", "must be an object of names and values")]
    found = []
    for number, (name, text) in enumerate(value.items(), start=1):
        if not VARIABLE_NAME.fullmatch(name):
            found.append((f"[{number}]", "has a name that is not letters, digits and _"))
        elif not isinstance(text, str) or NO_VALUE.search(text):
            found.append((f".{name}", "must be text without NUL"))
    return found


_OVERVIEW: Final[Mapping[str, Check]] = {
    "title": _title,
    "username": _text,
    "urls": _texts,
    "url_match": _text_by_name,  # how a browser matches a URL, if not by the default
    "tags": _texts,
    "folder": _text,  # nested by "/"
    "favourite": _flag,
    "archived": _flag,
    "expires_on": _date,
}
_DETAIL: Final[Mapping[str, Check]] = {
    "notes": _text,
    "fields": _records("name"),  # {name, kind: text | hidden | flag | link, value}
    "source": _object,  # fields of another manager that Vaultr does not have
}
_LOGIN_DETAIL: Final[Mapping[str, Check]] = {
    "password": _text,
    "totp": _text,
    "password_rule": _text,  # of the site, for `edit --generate`
    "passkeys": _records("credential_id", "key_value", "rp_id"),
    "history": _records("password"),  # {password, used_until}
}
_CARD_DETAIL: Final = ("cardholder", "number", "exp_month", "exp_year", "code")
_IDENTITY_DETAIL: Final = (
    *("honorific", "first_name", "middle_name", "last_name", "company", "email", "phone"),
    *("address1", "address2", "address3", "city", "state", "postal_code", "country"),
    *("ssn", "passport_number", "licence_number"),
)


def _schema(overview: Mapping[str, Check], detail: Mapping[str, Check]) -> Schema:
    return Schema(
        overview=MappingProxyType({**_OVERVIEW, **overview}),
        detail=MappingProxyType({**detail, **_DETAIL}),
    )


SCHEMAS: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        "login": _schema({}, _LOGIN_DETAIL),
        "api_key": _schema({}, {"key": _text, "secret": _text, "expires_at": _text}),
        "env_set": _schema({}, {"variables": _variables}),
        "note": _schema({}, {}),
        "card": _schema({"brand": _text}, dict.fromkeys(_CARD_DETAIL, _text)),
        "identity": _schema({}, dict.fromkeys(_IDENTITY_DETAIL, _text)),
        "ssh_key": _schema(
            {"public_key": _text, "fingerprint": _text},
            {"private_key": _text, "passphrase": _text},
        ),
    }
)
# Never in an overview, because lists show overviews.
SECRET_ANYWHERE: Final = frozenset(
    {"password", "totp", "notes", "key", "secret", "variables", "private_key", "passphrase"}
)


def schema_of(type: str) -> Schema:
    """Return the schema of a type.

    :raises VaultrError: this client does not know the type.
    """
    if type not in SCHEMAS:
        raise VaultrError(
            f"This client does not know the item type {type}: update it to change such items."
        )
    return SCHEMAS[type]


def check(type: str, overview: Part, detail: Part) -> int:
    """Check an item against its schema and the server's size limit.

    :return: the size of the item on the server in bytes.
    :raises ItemInvalid: lists every invalid field.
    """
    encoded = (_encoded(overview), _encoded(detail))
    size = _sealed_size(*encoded)
    if faults := _faults(type, (overview, detail), encoded, size):
        raise ItemInvalid(tuple(faults))
    return size


def _faults(type: str, parts: tuple[Part, Part], encoded: Encoded, size: int) -> Faults:
    overview, detail = parts
    schema = SCHEMAS.get(type)
    if schema is None:
        return [("type", f"must be one of {', '.join(SCHEMAS)}")]
    for part, value in (("overview", overview), ("detail", detail)):
        if not isinstance(value, dict):
            return [(part, "must be an object")]
    faults = _part_faults("overview", overview, schema.overview, encoded[0])
    faults += _part_faults("detail", detail, schema.detail, encoded[1])
    if "title" not in overview:
        faults.append(("overview.title", "is missing"))
    for name in overview:
        if name not in schema.overview and (name in schema.detail or name in SECRET_ANYWHERE):
            faults.append((f"overview.{name}", "is secret and belongs in detail"))
    if size > ITEM_BYTES:
        faults.append(("item", f"is larger than {ITEM_BYTES // 1024} KiB when encrypted"))
    return faults


def _part_faults(
    part: str, value: Part, known: Mapping[str, Check], encoded: bytes | None
) -> Faults:
    faults: Faults = []
    for name, each in value.items():
        if (check := known.get(name)) and (found := check(each)):
            faults += [(f"{part}.{name}{place}", what) for place, what in found]
    if encoded is None or may_be_nested_deep(encoded):
        faults += _json_faults(part, value)
    return faults


def _encoded(part: Part) -> bytes | None:
    """Return a part as it will be sealed; None if it is not Unicode JSON."""
    try:
        return encode(part)
    except (TypeError, ValueError, RecursionError):
        return None


def _json_faults(part: str, value: Part) -> Iterator[tuple[str, str]]:
    for name, each in value.items():
        try:
            encode({name: each})
        except (TypeError, ValueError, RecursionError):
            yield f"{part}.{_printable(name)}", "is not JSON in Unicode"
        else:
            if is_nested_deep({name: each}):
                yield f"{part}.{_printable(name)}", f"is nested more than {NESTING_MOST} deep"


def _printable(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode()


def sealed_bytes(overview: Part, detail: Part) -> int:
    """Return the size of an item on the server in bytes; 0 if it cannot be encoded as JSON."""
    return _sealed_size(_encoded(overview), _encoded(detail))


def _sealed_size(overview: bytes | None, detail: bytes | None) -> int:
    if overview is None or detail is None:
        return 0
    return padded_size(4 + len(overview)) + padded_size(4 + len(detail)) + 2 * OVERHEAD


def date_of(value: object) -> date | None:
    """Return the day of a date or time given as text; None if it is neither."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        return None


def with_expiry(overview: Part, detail: Part, named_fields: dict[str, Any] | None = None) -> Part:
    """Return the overview with the expiry date of ``expires_at`` in the detail.

    :param named_fields: the fields of the overview that the user set, which take precedence.
    """
    named = overview if named_fields is None else named_fields
    day = date_of(detail.get("expires_at"))
    if day is None or "expires_on" in named:
        return overview
    return {**overview, "expires_on": day.isoformat()}
