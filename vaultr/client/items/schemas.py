"""The fields of each item type, with checks whose messages contain field names but no values."""

import re
from collections.abc import Callable, Iterator, Mapping
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
Found = Iterator[tuple[str, str]]  # the field, and what is wrong with it
Check = Callable[[str, object], Found]

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


def _text(where: str, value: object) -> Found:
    if not isinstance(value, str):
        yield where, "must be text"


def _title(where: str, value: object) -> Found:
    if not isinstance(value, str) or not value.strip():
        yield where, "must be text that is not empty"


def _flag(where: str, value: object) -> Found:
    if not isinstance(value, bool):
        yield where, "must be true or false"


def _texts(where: str, value: object) -> Found:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        yield where, "must be a list of texts"


def _date(where: str, value: object) -> Found:
    try:
        given = isinstance(value, str) and bool(_DAY.fullmatch(value)) and date.fromisoformat(value)
    except ValueError:
        given = False
    if not given:
        yield where, "must be a date such as 2027-01-31"


def _object(where: str, value: object) -> Found:
    if not isinstance(value, dict):
        yield where, "must be an object"


def _text_by_name(where: str, value: object) -> Found:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        yield where, "must be an object whose values are texts"


def _records(*required: str) -> Check:
    """Return a check for a list of objects with the strings ``required``."""

    def check(where: str, value: object) -> Found:
        if not isinstance(value, list):
            yield where, "must be a list of objects"
            return
        for number, each in enumerate(value, start=1):
            if not isinstance(each, dict):
                yield f"{where}[{number}]", "must be an object"
                continue
            for name in required:
                yield from _text(f"{where}[{number}].{name}", each.get(name))

    return check


def _variables(where: str, value: object) -> Found:
    if not isinstance(value, dict):
        yield where, "must be an object of names and values"
        return
    for number, (name, text) in enumerate(value.items(), start=1):
        if not VARIABLE_NAME.fullmatch(name):
            yield f"{where}[{number}]", "has a name that is not letters, digits and _"
        elif not isinstance(text, str) or NO_VALUE.search(text):
            yield f"{where}.{name}", "must be text without NUL"


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
    encoded = [_encoded(part) for part in (overview, detail)]
    faults = tuple(_faults(type, overview, detail, encoded))
    if faults:
        raise ItemInvalid(faults)
    return _sealed_size(encoded)


def _faults(type: str, overview: Part, detail: Part, encoded: list[bytes | None]) -> Found:
    schema = SCHEMAS.get(type)
    if schema is None:
        yield "type", f"must be one of {', '.join(SCHEMAS)}"
        return
    for part, value in (("overview", overview), ("detail", detail)):
        if not isinstance(value, dict):
            yield part, "must be an object"
            return
    yield from _part_faults("overview", overview, schema.overview, encoded[0])
    yield from _part_faults("detail", detail, schema.detail, encoded[1])
    if "title" not in overview:
        yield "overview.title", "is missing"
    for name in overview:
        if name not in schema.overview and (name in schema.detail or name in SECRET_ANYWHERE):
            yield f"overview.{name}", "is secret and belongs in detail"
    if _sealed_size(encoded) > ITEM_BYTES:
        yield "item", f"is larger than {ITEM_BYTES // 1024} KiB when encrypted"


def _part_faults(
    part: str, value: Part, known: Mapping[str, Check], encoded: bytes | None
) -> Found:
    for name, each in value.items():
        if name in known:
            yield from known[name](f"{part}.{name}", each)
    if encoded is None or may_be_nested_deep(encoded):
        yield from _json_faults(part, value)


def _encoded(part: Part) -> bytes | None:
    """Return a part as it will be sealed; None if it is not Unicode JSON."""
    try:
        return encode(part)
    except (TypeError, ValueError, RecursionError):
        return None


def _json_faults(part: str, value: Part) -> Found:
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
    return _sealed_size([_encoded(part) for part in (overview, detail)])


def _sealed_size(encoded: list[bytes | None]) -> int:
    if None in encoded:
        return 0
    return sum(padded_size(4 + len(part or b"")) + OVERHEAD for part in encoded)


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
