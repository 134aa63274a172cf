"""What a view gives back, as a response: a model, nothing, or an answer with its own status."""

from typing import Any

from flask import Response

from vaultr.contract import Answer


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
