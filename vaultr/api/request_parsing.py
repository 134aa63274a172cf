"""Read and check a request's body and query for its view."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import request
from pydantic import TypeAdapter, ValidationError

from vaultr import clock
from vaultr.api import idempotency, large_bodies
from vaultr.api.contract import Contract, StepUpRequired, current_view
from vaultr.errors import BadRequest, FieldError, Forbidden, LengthRequired, TooLarge
from vaultr.protocol.sizes import BODY_BYTES
from vaultr.request_context import actor_or_none
from vaultr.wire import strict_json

KEY_HEADER = "Idempotency-Key"  # with this header, the body is read twice
KEY_ENVIRON = "HTTP_IDEMPOTENCY_KEY"  # the header's name in WSGI
# A batch of 1,000 changes has 17,000 JSON keys. A body of 1 MiB could have 200,000, and parsing
# them would take 85 MiB.
SMALL_BODY_KEYS = 20_000
_MAX_ERRORS = 2000
# For these errors, pydantic's messages would repeat the input.
_REPEATING = {"union_tag_invalid", "uuid_parsing", "url_parsing"}


class Reader:
    """Reads and checks a view's `body` and `query`.

    Building validators is slow, so `prepare` or the first request builds them, not the import.

    :param require_session: raises an error unless the session is alive. It is called before a large
        body is read, if the view itself would check the session only afterwards.
    """

    def __init__(self, contract: Contract, require_session: Callable[[], None]) -> None:
        self._contract = contract
        self._require_session = require_session
        self._ready = False
        self._body: Callable[[Any], Any] | None = None
        self._query: Callable[[Any], Any] | None = None

    def prepare(self) -> None:
        """Build the validators."""
        if self._contract.body is not None:
            self._body = TypeAdapter(self._contract.body).validate_python
        if self._contract.query is not None:
            self._query = TypeAdapter(self._contract.query).validate_python
        self._ready = True

    def read(self) -> dict[str, Any]:
        """Return the checked body and query."""
        if not self._ready:
            self.prepare()
        found = {}
        if self._body is not None:
            found["body"] = self._read_body(self._body)
        else:
            _no_body()
        if self._query is not None:
            found["query"] = _checked(self._query, _query_values(), "/query")
        elif request.query_string:
            raise BadRequest(errors=[FieldError("/query", "this operation has no such parameter")])
        _check_machine(allowed=self._contract.machines)
        if self._contract.step_up:
            _require_step_up()
        return found

    def _read_body(self, check: Callable[[Any], Any]) -> Any:
        length, most_keys = _length(self._contract), self._contract.max_keys
        if length <= BODY_BYTES:
            most_keys = min(most_keys, SMALL_BODY_KEYS)
            return _checked(check, _parsed(_small_body(length), most_keys), "")
        first = b""
        if self._contract.prove is not None:
            first = large_bodies.read_first()
            self._contract.prove(first)
        elif self._contract.checks_session:
            self._require_session()
        with large_bodies.turn():
            return _checked(check, _parsed(_large_body(first, length), most_keys), "")


def _length(contract: Contract) -> int:
    """Check the headers of the body, and return its length."""
    sent, length = request.environ, request.content_length
    if sent.get("HTTP_TRANSFER_ENCODING") or length is None:
        raise LengthRequired
    if length > contract.body_bytes:
        raise TooLarge
    strict_json.check_media_type(sent.get("CONTENT_TYPE"), sent.get("HTTP_CONTENT_ENCODING"))
    return length


def _small_body(length: int) -> str:
    data = b""
    with suppress(OSError):  # the client disconnected or stalled
        data = request.get_data(cache=KEY_ENVIRON in request.environ)
    return _text(data, length)


def _large_body(first: bytes, length: int) -> str:
    data = large_bodies.read_rest(first, length)
    if KEY_ENVIRON in request.environ:
        idempotency.set_body_digest(hashlib.sha256(data).digest())
    # A large body needs only ids, base64 and the names in the schema. A single non-ASCII character
    # would make Python store the text in up to four times its size.
    return _text(data, length, encoding="ascii")


def _text(data: bytes | bytearray, length: int, encoding: str = "utf-8") -> str:
    if len(data) != length:
        raise _bad_body("The body is shorter than its Content-Length. Send it again.")
    try:
        return strict_json.decode(data, encoding)
    except BadRequest as rejection:
        raise _bad_body(rejection.detail) from None


def _parsed(text: str, most_keys: int) -> Any:
    try:
        return strict_json.parse_text(text, max_keys=most_keys)
    except BadRequest as rejection:
        raise _bad_body(rejection.detail) from None


def _no_body() -> None:
    if request.content_length or request.environ.get("HTTP_TRANSFER_ENCODING"):
        raise _bad_body("This operation takes no body.")


def _bad_body(why: str) -> BadRequest:
    return BadRequest(why, errors=[FieldError("", why)])  # pointer to the whole body


def _query_values() -> dict[str, str]:
    values = {}
    try:
        lists = request.args.lists()
    except UnicodeDecodeError:  # raw bytes that should be percent-encoded
        raise BadRequest("The query string is not UTF-8.") from None
    for name, found in lists:
        if len(found) > 1:
            raise BadRequest(errors=[FieldError(f"/query/{name}", "must not be repeated")])
        values[name] = found[0]
    return values


def _checked(read: Callable[[Any], Any], value: Any, at: str) -> Any:
    try:
        return read(value)
    except ValidationError as error:
        if error.error_count() > _MAX_ERRORS:  # listing 200,000 errors takes a second
            raise BadRequest(
                "The request does not match its schema.",
                errors=[FieldError(at, "there are more errors than listed here")],
            ) from None
        # Never include the input, which may be secret; name an unknown field only by its position.
        faults = [
            FieldError(at + "".join(f"/{_escaped(part)}" for part in one["loc"]), _message(one))
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise BadRequest("The request does not match its schema.", errors=faults[:50]) from None


def _escaped(part: object) -> str:
    return str(part)[:64].replace("~", "~0").replace("/", "~1")


def _message(error: Any) -> str:
    if error["type"] in _REPEATING:
        return "must be one of the known kinds"
    if error["type"] == "model_type":
        return "an object"  # without the name of the Python class
    return str(error["msg"]).removeprefix("Value error, ")


def _check_machine(*, allowed: bool) -> None:
    actor = actor_or_none()
    if actor is None or actor.kind == "account":
        return
    if getattr(current_view(), "public", False):
        return
    if not actor.in_network:
        raise Forbidden("This machine may not be used from your network address.")
    if not allowed:
        raise Forbidden("A machine cannot do this. Log in with the account that owns it.")


def _require_step_up() -> None:
    actor = actor_or_none()
    if actor is None or actor.fresh_until is None or actor.fresh_until <= clock.now():
        raise StepUpRequired
