"""Parse a request body as one strict JSON value."""

import json
import re
from typing import Any

from vaultr.errors import BadRequest, UnsupportedMediaType

MAX_DEPTH = 32

MAX_KEYS = 10_000

MAX_INTEGER = 2**53 - 1  # every JSON parser represents it exactly (RFC 8259, section 6)

_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# The decoder itself rejects unescaped control characters below U+0020.
_RAW_UNWANTED = re.compile(r"[\x7f-\x9f]")

_ESCAPED = re.compile(r"\\[bfnrtu]")


def parse(data: bytes, *, max_keys: int = MAX_KEYS) -> Any:
    """Parse one JSON value; see `decode` and `parse_text`."""
    return parse_text(decode(data), max_keys=max_keys)


def decode(data: bytes | bytearray, encoding: str = "utf-8") -> str:
    """Return the text of a body, so that its bytes can be freed before the text is parsed.

    :raises BadRequest: the body is not in ``encoding``, which is UTF-8 or its subset ASCII.
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        name = "UTF-8" if encoding == "utf-8" else "ASCII, which a body of this size must be"
        raise BadRequest(f"The body is not {name}.") from None


def parse_text(text: str, *, max_keys: int = MAX_KEYS) -> Any:
    """Parse one JSON value, more strictly than RFC 8259 requires.

    Rejected: duplicate keys, NaN and infinities, numbers that a parser may round, lone surrogates,
    control characters, nesting over 32, more than ``max_keys`` keys.

    :raises BadRequest: with the reason, never with a part of the body.
    """
    # Many short values are expensive to parse: 16 MiB of "[]," kept a worker busy for 3 s.
    # Legitimate bodies stay far below this limit, because each key has one value and at most one
    # container.
    if sum(map(text.count, (",", "[", "{"))) > 3 * max_keys:
        raise BadRequest("The body has too many values.")
    if _RAW_UNWANTED.search(text):
        raise BadRequest("The body contains a control character.")
    keys = _Keys(max_keys)
    try:
        value = json.loads(
            text,
            object_pairs_hook=keys.collect,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError:  # includes json.JSONDecodeError
        raise BadRequest("The body is not valid JSON.") from None
    _walk(value, strings=_ESCAPED.search(text) is not None)
    return value


class _Keys:
    """Counts the keys of the whole body while it is parsed, and rejects duplicates."""

    def __init__(self, left: int) -> None:
        self._left = left

    def collect(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._left -= len(pairs)
        if self._left < 0:
            raise BadRequest("The body has too many keys.")
        members = dict(pairs)
        if len(members) < len(pairs):
            raise BadRequest("The body contains a duplicate key.")
        return members


def _no_constant(_name: str) -> None:
    raise BadRequest("NaN and infinities are not JSON.")


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise BadRequest("A number is out of range.")
    return int(text)


def _number(text: str) -> float | int:
    number = float(text)
    if not abs(number) <= MAX_INTEGER:
        raise BadRequest("A number is out of range.")
    # JSON Schema treats 3.0 as an integer, so clients that follow our schema may send it.
    return int(number) if number.is_integer() else number


def _walk(value: Any, *, strings: bool, depth: int = 1) -> None:
    if isinstance(value, str):
        if strings and _UNWANTED.search(value):
            raise BadRequest("A string contains a control character or a lone surrogate.")
        return
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise BadRequest("The body is nested too deeply.")
    if isinstance(value, dict):
        if strings:
            for key in value:
                _walk(key, strings=True)
        value = value.values()
    for part in value:
        if strings or isinstance(part, dict | list):
            _walk(part, strings=strings, depth=depth + 1)


def check_media_type(content_type: str | None, content_encoding: str | None = None) -> None:
    """Check that a body is ``application/json`` in UTF-8, and not compressed.

    :raises UnsupportedMediaType: for anything else.
    """
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    kind, *parameters = [part.strip().lower() for part in (content_type or "").split(";")]
    charsets = [part.removeprefix("charset=").strip('"') for part in parameters if part]
    if kind != "application/json" or any(name != "utf-8" for name in charsets):
        raise UnsupportedMediaType
