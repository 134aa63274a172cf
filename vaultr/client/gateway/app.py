"""The gateway's WSGI application: values for callers, probes, and metrics."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs

from vaultr.client.errors import ItemNotFound, UsageError, VaultNotFound, VaultrError
from vaultr.client.gateway.callers import Caller, Callers, CallersInvalid
from vaultr.client.gateway.source import InDoubt, Source
from vaultr.client.items.references import SCHEME, Reference
from vaultr.client.vaults.name_matching import Ambiguous

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_BEARER: Final = "Bearer "
_NOBODY: Final = "-"
_DAY_SECONDS: Final = 86_400

READY: Final = "vaultr_gateway_ready"
DATA_AGE: Final = "vaultr_gateway_data_age_seconds"
TOKEN_EXPIRES: Final = "vaultr_gateway_token_expires_days"  # nosec B105 - the name of a metric
RESPONSES: Final = "vaultr_gateway_responses_total"
# Type and help text of each metric.
METRICS: Final = {
    READY: ("gauge", "Whether the data may be served: 1 or 0"),
    DATA_AGE: ("gauge", "Time since the last verified sync"),
    TOKEN_EXPIRES: ("gauge", "Days until the machine expires"),
    RESPONSES: ("counter", "Responses by caller and status"),
}


@dataclass(frozen=True, slots=True)
class Response:
    """A response before it is sent."""

    status: HTTPStatus
    body: bytes = field(repr=False)
    content_type: str = _JSON

    @classmethod
    def of(cls, value: object, status: HTTPStatus = HTTPStatus.OK) -> "Response":
        """Return a response with a JSON body."""
        return cls(status, json.dumps(value).encode())


class Rejected(Exception):
    """A request that gets no value."""

    def __init__(self, status: HTTPStatus, error: str, **members: object) -> None:
        super().__init__(error)
        self.response = Response.of({"error": error, **members}, status)


class Gateway:
    """Answers requests from the copies of a machine, and never logs a request."""

    def __init__(self, source: Source, callers: Callers) -> None:
        self._source = source
        self._callers = callers
        self._responses: Counter[tuple[str, int]] = Counter()
        self._counting = Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        caller, response = self._answered(environ)
        with self._counting:
            self._responses[caller, response.status] += 1
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if response.status is HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", "Bearer"))
        start_response(f"{response.status.value} {response.status.phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]

    def _answered(self, environ: Environ) -> tuple[str, Response]:
        caller = _NOBODY
        try:
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                raise Rejected(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are allowed")
            # The raw path, because PATH_INFO decodes %2F, a / in a name.
            sent = environ.get("REQUEST_URI") or environ["PATH_INFO"]
            path = sent.partition("?")[0]
            if path in _PROBES:
                return caller, _PROBES[path](self)
            known = self._caller(environ.get("HTTP_AUTHORIZATION", ""))
            caller = known.name
            return caller, self._value(known, path, environ.get("QUERY_STRING", ""))
        except Rejected as rejected:
            return caller, rejected.response

    def _caller(self, header: str) -> Caller:
        try:
            known = self._callers.find(header.removeprefix(_BEARER))
        except CallersInvalid:
            raise self._in_doubt("the file of callers cannot be read") from None
        if not header.startswith(_BEARER) or known is None:
            raise Rejected(HTTPStatus.UNAUTHORIZED, "the caller's token is missing or unknown")
        return known

    def _value(self, caller: Caller, path: str, query: str) -> Response:
        try:
            reference, is_bare = _wanted(path, query)
        except UsageError as error:
            raise Rejected(HTTPStatus.BAD_REQUEST, str(error)) from None
        # Before the item is searched: a caller learns nothing about items that it may not read.
        if not caller.may_read(reference):
            raise Rejected(HTTPStatus.FORBIDDEN, "this caller may not read this reference")
        try:
            if reference.field is None:
                return Response.of({"values": self._source.values(reference)})
            value = self._source.value(reference)
        except InDoubt as error:
            raise self._in_doubt(str(error)) from None
        except ItemNotFound:
            raise Rejected(HTTPStatus.NOT_FOUND, "the item no longer exists") from None
        except VaultNotFound:
            # The owner may have removed access to the vault; that does not mean that the item is
            # gone.
            raise self._in_doubt("this machine has no access to such a vault") from None
        except Ambiguous:
            raise Rejected(HTTPStatus.CONFLICT, "several items match: name one by its id") from None
        except VaultrError:
            raise Rejected(
                HTTPStatus.UNPROCESSABLE_ENTITY, "the item has no text field of this name"
            ) from None
        if is_bare:
            return Response(HTTPStatus.OK, value.encode(errors="backslashreplace"), _TEXT)
        return Response.of({"value": value})

    def _in_doubt(self, why: str) -> Rejected:
        age = self._source.age_seconds
        seconds = None if age is None else int(age)
        return Rejected(HTTPStatus.SERVICE_UNAVAILABLE, why, age_seconds=seconds)

    def health(self) -> Response:
        """Report that the process is alive."""
        return Response.of({"status": "healthy"})

    def readiness(self) -> Response:
        """Report whether the copies may be served."""
        try:
            self._source.check()
            self._callers.listed()
        except (InDoubt, CallersInvalid) as error:
            return self._in_doubt(str(error)).response
        return Response.of({"ready": True, "age_seconds": int(self._source.age_seconds or 0)})

    def metrics(self) -> Response:
        """Return the metrics in the text format of Prometheus."""
        is_ready = self.readiness().status is HTTPStatus.OK
        lines = [*_metric(READY), f"{READY} {int(is_ready)}"]
        age, expires = self._source.age_seconds, self._source.expires_at
        if age is not None:
            lines += [*_metric(DATA_AGE), f"{DATA_AGE} {age:.3f}"]
        if expires is not None:
            days = (expires - datetime.now(UTC)).total_seconds() / _DAY_SECONDS
            lines += [*_metric(TOKEN_EXPIRES), f"{TOKEN_EXPIRES} {days:.3f}"]
        lines += _metric(RESPONSES)
        with self._counting:
            counted = sorted(self._responses.items())
        lines += [
            f'{RESPONSES}{{caller="{caller}",status="{status}"}} {count}'
            for (caller, status), count in counted
        ]
        return Response(HTTPStatus.OK, ("\n".join(lines) + "\n").encode(), _METRICS)


_PROBES: Final[dict[str, Callable[[Gateway], Response]]] = {
    "/healthz": Gateway.health,
    "/readyz": Gateway.readiness,
    "/metrics": Gateway.metrics,
}


def _metric(name: str) -> list[str]:
    kind, meaning = METRICS[name]
    return [f"# HELP {name} {meaning}.", f"# TYPE {name} {kind}"]


_SECRET_USE: Final = "Use /v1/secret?key=VAULT/ITEM&property=FIELD; property is optional."


def _wanted(path: str, query: str) -> tuple[Reference, bool]:
    """Return the reference of a request, and whether its value is sent without JSON.

    :raises UsageError: the request names no item.
    """
    if path == "/v1/secret":
        try:
            given = parse_qs(query, keep_blank_values=True, max_num_fields=8)
        except ValueError:
            raise UsageError(_SECRET_USE) from None
        keys, properties = given.get("key", []), given.get("property", [])
        if len(keys) != 1 or len(properties) > 1 or given.keys() - {"key", "property"}:
            raise UsageError(_SECRET_USE)
        item = Reference.parse(SCHEME + keys[0], whole=True)
        # External Secrets Operator sends an empty property if none is set.
        name = properties[0] if properties and properties[0] else None
        return Reference(item.vault, item.item, name), False
    if not path.startswith("/v1/") or query:
        raise UsageError("Use /v1/secret?key=VAULT/ITEM or /v1/VAULT/ITEM/FIELD.")
    return Reference.parse(SCHEME + path.removeprefix("/v1/")), True
