"""Pages that emails link to, which change nothing until a button is pressed, and API docs."""

import mimetypes
from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, current_app, render_template, request, url_for

from vaultr.api.contract import public
from vaultr.api.openapi import document
from vaultr.api.problems import status_of
from vaultr.app_state import AppSlot
from vaultr.auth import service as auth
from vaultr.database.contention import is_contention
from vaultr.errors import BadRequest, LengthRequired, NotFound, ServiceError, TooLarge
from vaultr.web import api_docs, assets

blueprint = Blueprint("web", __name__, template_folder="templates")

_DOCS: Final = AppSlot[str]("web.api_docs")
_FORM_BYTES: Final = 4096
_IMMUTABLE: Final = "public, max-age=31536000, immutable"


@blueprint.get("/")
@public
def home() -> Response:
    """Show a page about this server, with links to the API reference and the health check."""
    return _page("home.html", 200)


@blueprint.get("/verify-email")
@public
def verify_email() -> Response:
    """Show the button that confirms a signup."""
    return _button("verify-email.html")


@blueprint.post("/verify-email")
@public
def confirm_email() -> Response:
    """Confirm a signup; works without JavaScript."""
    return _pressed(auth.confirm_signup, "confirmed.html")


@blueprint.get("/recover/cancel")
@public
def cancel_recovery() -> Response:
    """Show the button that ends a recovery."""
    return _button("cancel-recovery.html")


@blueprint.post("/recover/cancel")
@public
def press_cancel_recovery() -> Response:
    """End a recovery."""
    return _pressed(auth.cancel_recovery_by_token, "recovery-cancelled.html")


@blueprint.get("/email/confirm")
@public
def confirm_change() -> Response:
    """Show the button that confirms a change of address."""
    return _button("confirm-change.html")


@blueprint.post("/email/confirm")
@public
def press_confirm_change() -> Response:
    """Confirm a change of address."""
    return _pressed(auth.confirm_email_change, "change-confirmed.html")


@blueprint.get("/email/undo")
@public
def undo_change() -> Response:
    """Show the button that undoes a change of address."""
    return _button("undo-change.html")


@blueprint.post("/email/undo")
@public
def press_undo_change() -> Response:
    """Undo a change of address."""
    return _pressed(auth.undo_email_change, "change-undone.html")


@blueprint.get("/api/docs")
@public
def docs() -> Response:
    """Show the API reference."""
    page = _DOCS.find()
    if page is None:
        spec = document(current_app)
        page = render_template(
            "reference.html",
            version=spec["info"]["version"],
            description=spec["info"]["description"],
            sections=api_docs.sections(spec),
            models=api_docs.models(spec),
            openapi=url_for("openapi.openapi"),
            stylesheet=assets.address("reference.css"),
            script=assets.address("reference.js"),
        )
        page = _DOCS.default(page)
    return Response(page, mimetype="text/html")


@blueprint.get("/static/<name>")
@public
def asset(name: str) -> Response:
    """Return a static file; its URL changes with its content."""
    data = assets.content(name)
    if data is None:
        raise NotFound
    kind = mimetypes.guess_type(name)[0]
    return Response(data, mimetype=kind, headers={"Cache-Control": _IMMUTABLE})


def _button(template: str) -> Response:
    """Show a page with one button, which sends the token of the link.

    Mail scanners fetch every link, so this page neither looks up nor changes anything.
    """
    token = request.args.get("token", "")
    return _page(template, 200 if token else 400, token=token)


def _pressed(do: Callable[[str], None], done: str) -> Response:
    """Run the action of a button; show the page ``done``, or the reason why nothing was changed."""
    try:
        _run(do, _form().get("token", ""))
    except ServiceError as error:
        return _page("not-done.html", status_of(type(error)), reason=error.detail)
    return _page(done, 200)


def _run(do: Callable[[str], None], token: str) -> None:
    """Run the action; like the API, retry once after contention with another transaction."""
    try:
        do(token)
    except Exception as error:
        if not is_contention(error):
            raise
        do(token)


def _form() -> dict[str, str]:
    """Read the fields of a form.

    :raises ServiceError: the length is missing or too large.
    """
    if request.content_length is None or request.headers.get("Transfer-Encoding"):
        raise LengthRequired
    if request.content_length > _FORM_BYTES:
        raise TooLarge
    try:
        return request.form.to_dict()
    except OSError:  # the client disconnected or stalled
        raise BadRequest from None


def _page(template: str, status: int, **values: str) -> Response:
    return Response(
        render_template(template, stylesheet=assets.address("page.css"), **values),
        status,
        mimetype="text/html",
    )
