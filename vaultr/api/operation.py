"""`@operation`: a view's contract (body, query, answer, refusals), checked at run time."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, get_type_hints

from flask import Flask, Response, current_app, request

from vaultr.api import problems
from vaultr.api.contract import ALWAYS, Access, Answer, Contract, StepUpRequired, contract_of
from vaultr.api.request_parsing import KEY_ENVIRON, Reader
from vaultr.errors import Refusal, Unauthenticated
from vaultr.protocol.sizes import BODY_BYTES
from vaultr.wire import field_types

__all__ = ["ALWAYS", "Answer", "Contract", "StepUpRequired", "contract_of", "operation"]

OnRefused = Callable[[Refusal], None]
# What gives the first answer again: the key that was sent, and what to do if it is new.
Once = Callable[[str, Callable[[], Response]], Response]

_HOOK = "vaultr.on_refused"
_ONCE = "vaultr.once"
_PROVE = "vaultr.prove_session"
_SETTLE = "vaultr.settle_session"


def operation(
    *,
    refuses: tuple[type[Refusal], ...] = (),
    statuses: tuple[int, ...] = (),
    access: Access | None = None,
    step_up: bool = False,
    body_bytes: int = BODY_BYTES,
    max_keys: int = field_types.MAX_KEYS,
    media_type: str = "application/json",
    proves_session: bool = False,
    answers: Any = None,
    answers_secret: bool = False,
    counts_guesses: bool = False,
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
    :param answers_secret: the answer holds a secret, so it is never kept for an Idempotency-Key.
    :param counts_guesses: the view commits a failed guess and then refuses; in the one transaction
        of an Idempotency-Key the refusal would undo the count, so a key is ignored here too.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Response]:
        hints = get_type_hints(view)
        returns = answers or hints.get("return")
        returns = None if returns in (type(None), Answer, Response) else returns
        usual = tuple(returns) if isinstance(returns, dict) else (200,) if returns else (204,)
        contract = Contract(
            hints.get("body"), hints.get("query"), returns,
            statuses or usual, refuses, access, step_up, body_bytes,
            max_keys, media_type, proves_session, not (answers_secret or counts_guesses),
        )  # fmt: skip
        reader = Reader(contract)
        watched = _session_first if contract.proves_session else nullcontext

        @functools.wraps(view)
        def call(*args: Any, **kwargs: Any) -> Response:
            with watched():
                kwargs |= reader.read()
                answer = functools.partial(_answer, view, args, kwargs, contract)
                return _run(_once(contract, answer))

        call.contract = contract  # type: ignore[attr-defined]  # read by openapi and the guards
        call.prepare = reader.prepare  # type: ignore[attr-defined]  # called by `prepare`
        return call

    return wrap


@contextmanager
def _session_first() -> Iterator[None]:
    """Let a dead session be refused before anything else that a view with `proves_session` refuses.

    Its own statement, which finds out, may not have run yet.
    """
    try:
        yield
    except Refusal as refusal:
        dead = isinstance(refusal, Unauthenticated)
        current_app.extensions[_SETTLE if dead else _PROVE]()
        raise


def _answer(view: Callable[..., Any], args: Any, kwargs: Any, contract: Contract) -> Response:
    return shown(view(*args, **kwargs), contract.statuses)


def _once(contract: Contract, answer: Callable[[], Response]) -> Callable[[], Response]:
    """Let an answer be the first one again, if the request came with a key for that."""
    key = request.environ.get(KEY_ENVIRON)
    if key is None or request.method != "POST" or not contract.once:
        return answer
    if getattr(current_app.view_functions[request.endpoint or ""], "public", False):
        return answer  # a key belongs to an account or a machine
    if contract.proves_session:  # a replay never reaches the view
        current_app.extensions[_PROVE]()
    return functools.partial(current_app.extensions[_ONCE], key, answer)


def _run(answer: Callable[[], Response]) -> Response:
    """Answer; once more when another transaction was in the way, then give up as `busy`.

    A view changes nothing but the database, in one transaction, so it can be called again.
    """
    try:
        try:
            return answer()
        except Exception as error:
            if not problems.contended(error):
                raise
        return answer()
    except Refusal as refusal:
        if refusal.event is not None:
            current_app.extensions[_HOOK](refusal)
        raise


def init_app(app: Flask, *, once: Once, on_refused: OnRefused) -> None:
    """Say what the frame itself cannot know.

    :param once: how an Idempotency-Key gets the first answer again.
    :param on_refused: where a refusal that carries an audit event is recorded, after its change
        was undone.
    """
    app.extensions[_ONCE] = once
    app.extensions[_HOOK] = on_refused


def prepare(app: Flask) -> None:
    """Build what checks the requests of all views, before workers are forked or requests come."""
    for view in app.view_functions.values():
        if (build := getattr(view, "prepare", None)) is not None:
            build()


def shown(result: Any, statuses: tuple[int, ...]) -> Response:
    """Make the response of what a view returned.

    :param statuses: the good ones of its contract, the usual first.
    """
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
