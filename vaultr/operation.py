"""`@operation`: a view's contract (body, query, answer, refusals), checked at run time."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

from flask import Flask, Response, current_app, request
from pydantic import BaseModel, TypeAdapter, ValidationError

from vaultr import clock, errors, problems, wire
from vaultr.actor import actor_or_none
from vaultr.errors import (
    BadRequest,
    Fault,
    Forbidden,
    LengthRequired,
    Refusal,
    TooLarge,
    Unauthenticated,
)
from vaultr.protocol.sizes import BODY_BYTES

Access = Literal["read", "write"]
OnRefused = Callable[[Refusal], None]

_HOOK = "vaultr.on_refused"
_PROVE = "vaultr.prove_session"
_MOST_FAULTS = 2000
# pydantic's sentences for these repeat the value that was sent.
_REPEATING = {"union_tag_invalid", "uuid_parsing", "url_parsing"}


class StepUpRequired(Forbidden):
    """Prove your password again (POST /api/v1/auth/step-up), then repeat the request."""

    slug = "step-up-required"


@dataclass(frozen=True, slots=True)
class Answer:
    """A model to show, with a status and headers of its own."""

    content: BaseModel | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contract:
    """What one view takes, answers and refuses; the OpenAPI document is made of these."""

    body: Any
    query: type[BaseModel] | None
    returns: Any
    statuses: tuple[int, ...]
    refuses: tuple[type[Refusal], ...]
    access: Access | None
    step_up: bool
    body_bytes: int
    max_keys: int
    media_type: str
    proves_session: bool


def operation(
    *,
    refuses: tuple[type[Refusal], ...] = (),
    statuses: tuple[int, ...] = (),
    access: Access | None = None,
    step_up: bool = False,
    body_bytes: int = BODY_BYTES,
    max_keys: int = wire.MAX_KEYS,
    media_type: str = "application/json",
    proves_session: bool = False,
    answers: Any = None,
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Hold a view to its contract.

    ``body`` and ``query`` are the view's keyword arguments of those names; the answer's model is
    its return annotation. A view returns that model (200), None (204), an `Answer`, or (hot reads)
    a finished `Response`.

    :param refuses: what the view itself may refuse; what every view may is known.
    :param statuses: the good statuses, where not 200 (or 204 without a model).
    :param access: whether it counts as a read or as a write of a vault.
    :param step_up: needs a fresh proof of the password.
    :param proves_session: the view's own statement finds out whether the session still lives.
    :param answers: the answer's model, where the annotation cannot say it (`Answer`, `Response`),
        or one for each status.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Response]:
        hints = get_type_hints(view)
        returns = answers or hints.get("return")
        returns = None if returns in (type(None), Answer, Response) else returns
        usual = tuple(returns) if isinstance(returns, dict) else (200,) if returns else (204,)
        contract = Contract(
            hints.get("body"), hints.get("query"), returns,
            statuses or usual, refuses, access, step_up, body_bytes,
            max_keys, media_type, proves_session,
        )  # fmt: skip
        reader = _Reader(contract)

        @functools.wraps(view)
        def call(*args: Any, **kwargs: Any) -> Response:
            with _session_first(contract):
                return _shown(_run(view, args, {**kwargs, **reader.read()}), contract.statuses)

        call.contract = contract  # type: ignore[attr-defined]  # read by openapi and the guards
        call.prepare = reader.prepare  # type: ignore[attr-defined]  # called by `prepare`
        return call

    return wrap


@contextmanager
def _session_first(contract: Contract) -> Iterator[None]:
    """Let a dead session be refused before anything else that a hot view refuses.

    Its own statement, which finds out, may not have run yet.
    """
    try:
        yield
    except Refusal as refusal:
        if contract.proves_session and not isinstance(refusal, Unauthenticated):
            current_app.extensions[_PROVE]()
        raise


class _Reader:
    """What reads and checks a request: it gives the view's `body` and `query`.

    Validators take long to build, so importing a feature does not: `prepare` does, or first use.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
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
        """Give what was sent, checked."""
        if not self._ready:
            self.prepare()
        found = {}
        if self._body is not None:
            found["body"] = _checked(self._body, _body(self._contract), "")
        else:
            _no_body()
        if self._query is not None:
            found["query"] = _checked(self._query, _query_values(), "/query")
        elif request.query_string:
            raise BadRequest(errors=[Fault("/query", "this route takes none")])
        if self._contract.step_up:
            _fresh()
        return found


def _run(view: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call the view; once more when another transaction was in the way, then give up as `busy`.

    A view changes nothing but the database, in one transaction, so it can be called again.
    """
    try:
        try:
            return view(*args, **kwargs)
        except Exception as error:
            if not problems.contended(error):
                raise
        return view(*args, **kwargs)
    except Refusal as refusal:
        if refusal.event is not None:
            current_app.extensions[_HOOK](refusal)
        raise


def _shown(result: Any, statuses: tuple[int, ...]) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, Answer):
        answer = result
    else:
        usual = 204 if result is None else 200
        answer = Answer(result, usual if usual in statuses else statuses[0])
    if answer.content is None:
        response = Response(b"", answer.status)
        response.headers.pop("Content-Type", None)
    else:
        text = answer.content.model_dump_json()
        response = Response(text, answer.status, mimetype="application/json")
    response.headers.update(answer.headers)
    return response


def _body(contract: Contract) -> Any:
    if request.headers.get("Transfer-Encoding") or request.content_length is None:
        raise LengthRequired
    if request.content_length > contract.body_bytes:
        raise TooLarge
    wire.check_media_type(request.headers.get("Content-Type"))
    data = b""
    with suppress(OSError):  # its sender hung up, or stalled
        data = request.get_data(cache=False)
    if len(data) != request.content_length:
        raise _bad_body("The body is shorter than its Content-Length.")
    try:
        return wire.parse(data, max_keys=contract.max_keys)
    except BadRequest as refusal:
        raise _bad_body(refusal.detail) from None


def _no_body() -> None:
    if request.content_length or request.headers.get("Transfer-Encoding"):
        raise _bad_body("This route takes no body.")


def _bad_body(why: str) -> BadRequest:
    return BadRequest(why, errors=[Fault("", why)])  # the pointer of the whole body


def _query_values() -> dict[str, str]:
    values = {}
    try:
        lists = request.args.lists()
    except UnicodeDecodeError:  # raw bytes; they belong percent-encoded
        raise BadRequest("The query is not UTF-8.") from None
    for name, given in lists:
        if len(given) > 1:
            raise BadRequest(errors=[Fault(f"/query/{name}", "given more than once")])
        values[name] = given[0]
    return values


def _checked(read: Callable[[Any], Any], value: Any, at: str) -> Any:
    try:
        return read(value)
    except ValidationError as error:
        if error.error_count() > _MOST_FAULTS:  # to list 200,000 takes a second
            raise BadRequest(
                "The request does not match its schema.",
                errors=[Fault(at, "more is wrong than can be listed")],
            ) from None
        # Never the input, which may be secret; nor an unknown field's own name beyond its place.
        faults = [
            Fault(at + "".join(f"/{_escaped(part)}" for part in one["loc"]), _message(one))
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise BadRequest("The request does not match its schema.", errors=faults[:50]) from None


def _escaped(part: object) -> str:
    return str(part)[:64].replace("~", "~0").replace("/", "~1")


def _message(error: Any) -> str:
    if error["type"] in _REPEATING:
        return "none of the known kinds"
    return str(error["msg"]).removeprefix("Value error, ")


def _fresh() -> None:
    actor = actor_or_none()
    if actor is None or actor.fresh_until is None or actor.fresh_until <= clock.now():
        raise StepUpRequired


def contract_of(view: Any) -> Contract | None:
    """Give a view's contract, or None for a page."""
    return getattr(view, "contract", None)


def init_app(app: Flask, *, on_refused: OnRefused) -> None:
    """Say where a refusal that carries an audit event is recorded, after its change was undone."""
    app.extensions[_HOOK] = on_refused


def prepare(app: Flask) -> None:
    """Build what checks the requests of all views, before workers are forked or requests come."""
    for view in app.view_functions.values():
        if (build := getattr(view, "prepare", None)) is not None:
            build()


ALWAYS: tuple[type[Refusal], ...] = (
    errors.TooMany,
    errors.Internal,
    errors.Unavailable,
    errors.Busy,
)
