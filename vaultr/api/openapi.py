"""The OpenAPI 3.1 document, generated from the contracts that are enforced at run time."""

import inspect
import json
import re
import threading
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app
from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from vaultr import errors
from vaultr.api import host_check, kill_switches, preconditions, problems
from vaultr.api.contract import (
    ACCESS,
    ALWAYS,
    HEADER,
    PROBE_PATHS,
    Contract,
    CrossSite,
    KeyReused,
    StepUpRequired,
    contract_of,
    public,
)
from vaultr.api.operation import operation
from vaultr.api.request_parsing import KEY_HEADER
from vaultr.app_state import AppSlot
from vaultr.errors import ServiceError
from vaultr.protocol.encoding import ID_PATTERN
from vaultr.protocol.sizes import BODY_BYTES
from vaultr.version import __version__
from vaultr.wire.field_types import Out

blueprint = Blueprint("openapi", __name__, url_prefix="/api/v1")

_REF = "#/components/schemas/{model}"
_ID = {"type": "string", "format": "uuid", "pattern": f"^{ID_PATTERN}$"}
_WITH_BODY: tuple[type[ServiceError], ...] = (
    errors.LengthRequired,
    errors.TooLarge,
    errors.UnsupportedMediaType,
)
_CACHE: Final = AppSlot[str]("api.openapi")
# pydantic fails if two threads build the same schema at the same time.
_schema_lock = threading.RLock()
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "machine": {
        "type": "http",
        "scheme": "bearer",
        "description": "`vma_<id>_<key>`: the id of a machine, and the key derived from its token.",
    },
    "cookie": {"type": "apiKey", "in": "cookie", "name": ACCESS},
    "csrf": {"type": "apiKey", "in": "header", "name": HEADER},
}
_KEY_DESCRIPTION = (
    "Use a new random key for each change. The same request with the same key returns the first"
    " response again, for 24 hours; another request with that key is rejected. Errors are not"
    " stored."
)
_REPLAYED = "Idempotency-Replayed"
_REPLAYED_HEADER = {
    "description": "Present if this response is a replay for the same Idempotency-Key.",
    "schema": {"const": "true"},
}


class FieldFault(Out):
    """One invalid field."""

    pointer: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457). `type` is `urn:vaultr:problem:<slug>`; some have further members."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldFault] | None = None


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI 3.1 document."""


@blueprint.get("/openapi.json")
@public
@operation(returns=Document)
def openapi() -> Response:
    """Return this OpenAPI document."""
    with _schema_lock:
        text = _CACHE.find()
        if text is None:
            text = json.dumps(document(current_app), sort_keys=True)
            _CACHE.default(text)
    response = Response(text, mimetype="application/json")
    response.headers["Cache-Control"] = "private, max-age=300"
    return response


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of ``app``: its routes, fields, statuses and problems."""
    found = [
        (rule, app.view_functions[rule.endpoint], contract)
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        if (contract := contract_of(app.view_functions[rule.endpoint])) is not None
    ]
    with _schema_lock:
        schemas = _Schemas([contract for _, _, contract in found])
    paths: dict[str, Any] = {}
    for rule, view, contract in found:
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(rule, view, contract, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vaultr",
            "version": __version__,
            "description": "A zero-knowledge secrets manager: the server stores sealed values.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": _SCHEMES,
        },
    }


class _Schemas:
    """The schemas of all operations, each defined once."""

    def __init__(self, contracts: list[Contract]) -> None:
        wanted: dict[tuple[Any, str], None] = {(Problem, "serialization"): None}
        for contract in contracts:
            if contract.body is not None:
                wanted[contract.body, "validation"] = None
            for status in contract.statuses:
                if (model := response_model(contract, status)) is not None:
                    wanted[model, "serialization"] = None
        self._refs, whole = models_json_schema(list(wanted), ref_template=_REF)  # type: ignore[arg-type]  # pydantic types the modes as literals
        self.definitions: dict[str, Any] = whole.get("$defs", {})

    def of(self, model: Any, mode: str) -> Any:
        return self._refs[model, mode]  # type: ignore[index]  # pydantic types the modes as literals

    def of_query(self, query: type[BaseModel]) -> dict[str, Any]:
        schema = TypeAdapter(query).json_schema(ref_template=_REF)
        self.definitions.update(schema.pop("$defs", {}))
        return schema


def _operation(rule: Any, view: Any, contract: Contract, schemas: _Schemas) -> dict[str, Any]:
    doc = inspect.getdoc(view) or rule.endpoint
    summary, _, more = doc.partition("\n\n")
    is_public = getattr(view, "public", False)
    described: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [rule.endpoint.split(".")[0]],
        "summary": " ".join(summary.split()),
        "security": [] if is_public else _security(rule, contract),
        "responses": _responses(rule, contract, schemas, is_public=is_public),
    }
    if _replays(rule, contract, is_public=is_public):
        for status in contract.statuses:
            described["responses"][str(status)]["headers"] = {_REPLAYED: _REPLAYED_HEADER}
    if more:
        described["description"] = inspect.cleandoc(more)
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": getattr(converter, "schema", _ID),  # most parameters are ids
        }
        for name, converter in rule._converters.items()
    ]
    if contract.query is not None:
        parameters += _query(schemas.of_query(contract.query))
    parameters += _conditions(rule, contract, is_public=is_public)
    if parameters:
        described["parameters"] = parameters
    if contract.body is not None:
        schema = schemas.of(contract.body, "validation")
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _security(rule: Any, contract: Contract) -> list[dict[str, Any]]:
    """Return how a request is authenticated: by a bearer token, or by a browser's cookies."""
    unsafe = (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    machine: list[dict[str, Any]] = [{"machine": []}] if contract.machines else []
    cookies: dict[str, Any] = {"cookie": [], "csrf": []} if unsafe else {"cookie": []}
    return [{"bearer": []}, *machine, cookies]


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(one)}
        for name, one in schema.get("properties", {}).items()
    ]


def _conditions(rule: Any, contract: Contract, *, is_public: bool) -> list[dict[str, Any]]:
    """Return the headers for preconditions, ETags and idempotency."""
    patterns = {}
    if 304 in contract.statuses:
        patterns["If-None-Match"] = f"^{preconditions.READ_TAG.pattern}$"
    batch = contract.body_bytes > BODY_BYTES  # each change of a batch has its own precondition
    if not batch and any(
        issubclass(error, errors.PreconditionRequired) for error in contract.errors
    ):
        patterns["If-Match"] = f"^{preconditions.REVISION.pattern}$"
        if 201 in contract.statuses:
            patterns["If-None-Match"] = r"^\*$"
    if contract.if_match:
        patterns["If-Match"] = f"^{preconditions.REVISION.pattern}$"
    if _replays(rule, contract, is_public=is_public):
        patterns[KEY_HEADER] = "^[ -~]{1,128}$"
    return [
        {
            "name": name,
            "in": "header",
            "schema": {"type": "string", "pattern": pattern},
            **({"description": _KEY_DESCRIPTION} if name == KEY_HEADER else {}),
        }
        for name, pattern in patterns.items()
    ]


def _replays(rule: Any, contract: Contract, *, is_public: bool) -> bool:
    """Return whether repeating the request with its Idempotency-Key returns the first response."""
    return "POST" in (rule.methods or ()) and contract.idempotent and not is_public


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from a query parameter's schema: the parameter is left out instead."""
    rest = {key: part for key, part in schema.items() if (key, part) != ("default", None)}
    choices = [choice for choice in rest.pop("anyOf", []) if choice != {"type": "null"}]
    return {**rest, **(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})}


def response_model(contract: Contract, status: int) -> Any:
    """Return the response model for a status, or None if there is no body."""
    if isinstance(contract.returns, dict):
        return contract.returns.get(status)
    return None if status in (202, 204, 304) else contract.returns


def _responses(
    rule: Any, contract: Contract, schemas: _Schemas, *, is_public: bool
) -> dict[str, Any]:
    every = {
        **_success_responses(contract, schemas),
        **_error_responses(rule, contract, is_public, schemas),
    }
    return dict(sorted(every.items()))


def _success_responses(contract: Contract, schemas: _Schemas) -> dict[str, Any]:
    responses = {}
    for status in contract.statuses:
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if (model := response_model(contract, status)) is not None:
            schema = schemas.of(model, "serialization")
            response["content"] = {contract.media_type: {"schema": schema}}
        responses[str(status)] = response
    return responses


def errors_of(rule: Any, contract: Contract, *, is_public: bool) -> set[type[ServiceError]]:
    """Return all errors of an operation: its own, and those that all operations like it have."""
    if rule.rule in PROBE_PATHS:
        return {errors.BadRequest, errors.Internal}
    kinds = {
        *contract.errors,
        *ALWAYS,
        errors.BadRequest,
        errors.MethodNotAllowed,
        kill_switches.SwitchedOff,
        host_check.HostUnknown,
        host_check.HttpsRequired,
    }
    if contract.body is not None:
        kinds.update(_WITH_BODY)
    if not is_public:
        kinds.update((errors.Unauthenticated, errors.Forbidden, CrossSite))
    if contract.step_up:
        kinds.add(StepUpRequired)
    if rule._converters:
        kinds.add(errors.NotFound)
    if _replays(rule, contract, is_public=is_public):
        kinds.add(KeyReused)
    return kinds


def _error_responses(
    rule: Any, contract: Contract, is_public: bool, schemas: _Schemas
) -> dict[str, Any]:
    by_status: dict[int, list[type[ServiceError]]] = {}
    for kind in errors_of(rule, contract, is_public=is_public):
        by_status.setdefault(problems.status_of(kind), []).append(kind)
    responses = {}
    for status, kinds in sorted(by_status.items()):
        sentences = {kind.slug: (kind.__doc__ or "").strip().splitlines()[0] for kind in kinds}
        lines = [f"- `{slug}`: {sentence}" for slug, sentence in sorted(sentences.items())]
        types = [f"urn:vaultr:problem:{slug}" for slug in sorted(sentences)]
        schema = {
            "allOf": [
                schemas.of(Problem, "serialization"),
                {"properties": {"type": {"enum": types}, "status": {"const": status}}},
            ]
        }
        response: dict[str, Any] = {
            "description": "\n".join(lines),
            "content": {problems.MEDIA_TYPE: {"schema": schema}},
        }
        if status in (429, 503):
            response["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
        responses[str(status)] = response
    return responses
