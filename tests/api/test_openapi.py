"""The OpenAPI document is valid and complete, and requests are checked by the same schema."""

import json
import re

import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.harness import app_fixtures, sample_routes
from vaultr.api.contract import contract_of
from vaultr.api.openapi import document, errors_of
from vaultr.api.problems import status_of

PAGES = {
    "/",
    "/api/docs",
    "/email/confirm",
    "/email/undo",
    "/recover/cancel",
    "/static/{name}",
    "/verify-email",
}


@pytest.fixture(scope="module")
def described(sqlite_app):
    with sqlite_app.app_context():
        return document(sqlite_app)


def operations(described):
    return {
        (path, method): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def path_of(rule):
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def routes(app):
    for rule in app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield path_of(rule), method.lower(), rule, app.view_functions[rule.endpoint]


def test_document_is_public_and_cacheable_for_five_minutes(client):
    response = client.get("/api/v1/openapi.json")

    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert response.headers["Cache-Control"] == "private, max-age=300"
    assert response.json["openapi"] == "3.1.0"


def test_openapi_document_is_valid(described):
    validate(described)


def test_openapi_document_contains_every_route(sqlite_app, described):
    here = {(path, method) for path, method, _, _ in routes(sqlite_app) if path not in PAGES}

    assert operations(described).keys() == here


def test_every_operation_has_unique_name_and_description(described):
    names = [operation["operationId"] for operation in operations(described).values()]

    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for operation in operations(described).values())


def test_every_error_of_a_route_is_documented(sqlite_app, described):
    for path, method, rule, view in routes(sqlite_app):
        contract = contract_of(view)
        if contract is None:
            continue
        answers = described["paths"][path][method]["responses"]
        for kind in errors_of(rule, contract, is_public=getattr(view, "public", False)):
            answer = answers[str(status_of(kind))]["content"]["application/problem+json"]["schema"]
            [_, reported] = answer["allOf"]
            assert f"urn:vaultr:problem:{kind.slug}" in reported["properties"]["type"]["enum"]


def test_common_errors_are_documented_on_every_closed_route(described):
    for operation in operations(described).values():
        reported = operation["responses"].keys()
        if operation["security"]:
            assert {"400", "401", "403", "405", "429", "500", "503"} <= reported
        if "requestBody" in operation:
            assert {"400", "411", "413", "415"} <= reported
        waits = [operation["responses"][one] for one in ("429", "503") if one in reported]
        assert all("Retry-After" in one["headers"] for one in waits if "headers" in one)


def test_switched_off_error_is_documented_except_for_probes(described):
    without = {
        path
        for (path, _), operation in operations(described).items()
        if "switched-off" not in operation["responses"].get("503", {}).get("description", "")
    }

    assert without == {"/api/health", "/api/ready"}


def test_every_request_schema_rejects_unknown_fields(described):
    """The document matches the run-time behaviour, where unknown fields are also rejected."""
    schemas = described["components"]["schemas"]
    for (path, method), operation in operations(described).items():
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            named = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            loose = [
                one for one in named.get("oneOf", [named]) if "additionalProperties" not in one
            ]
            assert all("$ref" in one for one in loose), (path, method)


def test_query_parameters_are_documented_as_accepted(tmp_path):
    with sample_routes.server(tmp_path) as app, app.app_context():
        parameters = document(app)["paths"]["/api/v1/small/wanted"]["get"]["parameters"]

    assert parameters == [
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "default": 10, "title": "Limit"},
        },
        {
            "name": "kind",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "title": "Kind"},
        },
    ]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        *(("/api/health", "get", "200"), ("/api/ready", "get", "503")),
        *(("/api/v1/auth/me", "get", "401"), ("/api/v1/auth/login", "post", "411")),
    ],
)
def test_responses_match_the_document(sqlite_app, described, path, method, status):
    app_fixtures.empty(sqlite_app)
    response = sqlite_app.test_client().open(path, method=method.upper())
    text = described["paths"][path][method]["responses"][status]["content"][response.mimetype]

    assert str(response.status_code) == status
    schema = {**text["schema"], "components": described["components"]}
    jsonschema.validate(json.loads(response.data), schema)
