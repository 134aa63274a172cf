"""`@operation`: enforce a view's contract of body, query, response and errors."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, get_type_hints

from flask import Flask, Response, current_app, request
from pydantic import BaseModel

from vaultr.api import idempotency
from vaultr.api.contract import ALWAYS, Access, Contract, StepUpRequired, contract_of
from vaultr.api.request_parsing import KEY_ENVIRON, Reader
from vaultr.app_state import AppSlot
from vaultr.database.contention import is_contention
from vaultr.errors import ServiceError, Unauthenticated
from vaultr.protocol.sizes import BODY_BYTES
from vaultr.wire.strict_json import MAX_KEYS

__all__ = ["ALWAYS", "Answer", "Contract", "Hooks", "StepUpRequired", "contract_of", "operation"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response model with an explicit status and headers."""

    content: BaseModel | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions of higher layers that the HTTP layer calls.

    :ivar record_error: records an error that carries an audit event, after its rollback.
    :ivar require_session: raises `Unauthenticated` if the session of the request has ended.
    :ivar session_ended: counts the request of an ended session as anonymous; may raise `TooMany`.
    :ivar renew_machine: reads the machine that sent the request again; returns whether it has
        changed since it was looked up, so that the view can be called again.
    """

    record_error: Callable[[ServiceError], None]
    require_session: Callable[[], None]
    session_ended: Callable[[], None]
    renew_machine: Callable[[], bool]


_HOOKS: Final = AppSlot[Hooks]("api.hooks")


def init_app(app: Flask, hooks: Hooks) -> None:
    """Store the hooks of ``app``."""
    _HOOKS.set(app, hooks)


def operation(
    *,
    errors: tuple[type[ServiceError], ...] = (),
    statuses: tuple[int, ...] = (),
    access: Access | None = None,
    step_up: bool = False,
    body_bytes: int = BODY_BYTES,
    max_keys: int = MAX_KEYS,
    media_type: str = "application/json",
    checks_session: bool = False,
    returns: Any = None,
    returns_secret: bool = False,
    counts_guesses: bool = False,
    machines: bool = False,
    if_match: bool = False,
    prove: Callable[[bytes], None] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Make a function a view, and enforce its contract.

    ``body`` and ``query`` are the view's keyword arguments of those names; the response model is
    its return annotation. A view returns that model (200), None (204), an `Answer`, or (frequent
    reads) a finished `Response`.

    :param errors: the view's own errors, besides those that any view can return.
    :param statuses: the statuses of success, if not 200 (or 204 without a model).
    :param access: whether the view counts as a read or as a write of a vault.
    :param step_up: the view needs a recent proof of the password.
    :param checks_session: the view's own statement checks whether the session is alive.
    :param returns: the response model, if the annotation cannot express it (`Answer`, `Response`),
        or one model for each status.
    :param returns_secret: the response contains a secret, so it is never stored for an
        Idempotency-Key.
    :param counts_guesses: the view commits the count of a failed guess and then raises. With an
        Idempotency-Key both would happen in one transaction, and its rollback would undo the count;
        so the view ignores the key.
    :param machines: machines may call the view; otherwise they get 403.
    :param if_match: the view reads an If-Match, and works without one too.
    :param prove: see `Contract`.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Response]:
        hints = get_type_hints(view)
        model, implied = _response_model(returns or hints.get("return"))
        contract = Contract(
            hints.get("body"), hints.get("query"), model, statuses or implied, errors, access,
            step_up, body_bytes, max_keys, media_type, checks_session,
            not (returns_secret or counts_guesses), machines, prove, if_match,
        )  # fmt: skip
        reader = Reader(contract, lambda: _HOOKS.get().require_session())

        @functools.wraps(view)
        def call(*args: Any, **kwargs: Any) -> Response:
            with _session_errors_first() if contract.checks_session else nullcontext():
                kwargs |= reader.read()
                respond = functools.partial(_respond, view, args, kwargs, contract)
                return _run(_idempotent(contract, respond))

        call.contract = contract  # type: ignore[attr-defined]  # read by openapi and the guards
        call.prepare = reader.prepare  # type: ignore[attr-defined]  # called by `prepare`
        return call

    return wrap


def _response_model(returns: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the response model of a view, and the statuses of success that it implies."""
    if returns in (None, type(None), Answer, Response):
        return None, (204,)
    return returns, tuple(returns) if isinstance(returns, dict) else (200,)


def prepare(app: Flask) -> None:
    """Build the validators of all views, before workers are forked or requests arrive."""
    for view in app.view_functions.values():
        if (build := getattr(view, "prepare", None)) is not None:
            build()


@contextmanager
def _session_errors_first() -> Iterator[None]:
    """Report a dead session before any other error of a view with ``checks_session``.

    The view's own statement checks the session, but may not have run before another error is
    raised.
    """
    try:
        yield
    except Unauthenticated:
        _HOOKS.get().session_ended()
        raise
    except ServiceError:
        try:
            _HOOKS.get().require_session()
        except Unauthenticated:
            _HOOKS.get().session_ended()
            raise
        raise


def _respond(view: Callable[..., Any], args: Any, kwargs: Any, contract: Contract) -> Response:
    """Call the view, and build the response from its return value."""
    result = view(*args, **kwargs)
    if isinstance(result, Response):
        return result
    if isinstance(result, Answer):
        answer = result
    else:
        default_status = 204 if result is None else 200
        answer = Answer(
            result, default_status if default_status in contract.statuses else contract.statuses[0]
        )
    if answer.content is None:
        response = Response(b"", answer.status)
        response.headers.pop("Content-Type", None)
    else:
        text = answer.content.model_dump_json()
        response = Response(text, answer.status, mimetype="application/json")
    response.headers.update(answer.headers)
    return response


def _idempotent(contract: Contract, respond: Callable[[], Response]) -> Callable[[], Response]:
    """Make ``respond`` replay the first response, if the request has an Idempotency-Key."""
    key = request.environ.get(KEY_ENVIRON)
    if key is None or request.method != "POST" or not contract.idempotent:
        return respond
    if getattr(current_app.view_functions[request.endpoint or ""], "public", False):
        return respond  # a key belongs to an account or a machine
    if contract.checks_session:  # a replay never reaches the view
        _HOOKS.get().require_session()
    return functools.partial(idempotency.run_once, key, respond)


def _run(respond: Callable[[], Response]) -> Response:
    """Respond. On contention with another transaction try once more, then raise `Busy`.

    Also try once more if the machine that sent the request has changed since it was looked up.

    It is safe to call a view again: it changes only the database, in one transaction.
    """
    try:
        try:
            return respond()
        except Unauthenticated:
            if not _HOOKS.get().renew_machine():
                raise
        except Exception as error:
            if not is_contention(error):
                raise
        return respond()
    except ServiceError as error:
        if error.audit_event is not None:
            _HOOKS.get().record_error(error)
        raise
