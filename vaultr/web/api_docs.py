"""The content of the API reference, from the OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

_CODE: Final = re.compile(r"`([^`]+)`")
_REF: Final = "#/components/schemas/"
_TITLES: Final = {
    "auth": "Accounts and sessions",
    "vaults": "Vaults, items and their log",
    "audit": "Audit",
    "machines": "Machines",
    "export": "Export",
    "breach": "Breached passwords",
    "health": "Probes",
    "openapi": "API description",
}
_BOUNDS: Final = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {}"),
    ("maxItems", "at most {}"),
    ("minimum", "from {}"),
    ("maximum", "to {}"),
    ("pattern", "{}"),
    ("contentEncoding", "{}"),
    ("default", "default {}"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a field of a body: its name, type and place."""

    name: str
    kind: Markup
    required: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response: its status, and its body or errors."""

    status: str
    body: Markup | None
    description: Markup


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on the page."""

    id: str
    method: str
    path: str
    summary: Markup
    description: Markup
    is_public: bool
    parameters: list[Field]
    body: Markup | None
    responses: list[Response]


@dataclass(frozen=True, slots=True)
class Model:
    """One schema: an object with fields, or another type."""

    name: str
    description: Markup
    fields: list[Field]
    kind: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """The operations of one section of the API."""

    id: str
    title: str
    operations: list[Operation]


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Return a document's operations by section of the API."""
    by_tag: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    order = [*_TITLES, *sorted(by_tag.keys() - _TITLES.keys())]
    known = [tag for tag in order if tag in by_tag]
    return [Section(tag, _TITLES.get(tag, tag.capitalize()), by_tag[tag]) for tag in known]


def models(document: Mapping[str, Any]) -> list[Model]:
    """Return the schemas of a document, ordered by name."""
    return [
        Model(name, text(schema.get("description", "")), _fields(schema), kind_of(schema))
        for name, schema in sorted(document["components"]["schemas"].items())
    ]


def text(words: str) -> Markup:
    """Convert text to HTML, with backticks as code."""
    marked = _CODE.sub(r"<code>\1</code>", str(escape(words)))
    return Markup(marked)  # nosec B704 - escaped before anything was marked


def kind_of(schema: Mapping[str, Any]) -> Markup:
    """Describe the type of a schema, with links to other schemas."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "const" in schema:
        return Markup("<code>{}</code>").format(_value_text(schema["const"]))
    if "enum" in schema:
        choices = [Markup("<code>{}</code>").format(_value_text(value)) for value in schema["enum"]]
        return Markup(" | ").join(choices)
    for word, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " with ")):
        if word in schema:
            return escape(between).join(kind_of(choice) for choice in schema[word])
    if schema.get("type") == "array":
        return Markup("list of {}").format(kind_of(schema.get("items", {}))) + _bounds(schema)
    if "format" in schema:  # more precise than the pattern
        return escape(schema["format"])
    return escape(schema.get("type", "any")) + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> Markup:
    bounds = [form.format(_value_text(schema[word])) for word, form in _BOUNDS if word in schema]
    return Markup(", <small>{}</small>").format(", ".join(bounds)) if bounds else Markup("")


def _value_text(value: Any) -> str:
    return (
        value if isinstance(value, str) else {True: "true", False: "false"}.get(value, str(value))
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    body = operation.get("requestBody", {}).get("content", {})
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=text(operation["summary"]),
        description=text(operation.get("description", "")),
        is_public=not operation["security"],
        parameters=[
            Field(
                parameter["name"],
                kind_of(parameter["schema"]),
                bool(parameter.get("required")),
                parameter["in"],
            )
            for parameter in operation.get("parameters", ())
        ],
        body=next((kind_of(media["schema"]) for media in body.values()), None),
        responses=list(_responses(operation["responses"])),
    )


def _responses(responses: Mapping[str, Any]) -> Iterator[Response]:
    for status, response in responses.items():
        if int(status) >= 400:
            lines = [text(line.removeprefix("- ")) for line in response["description"].splitlines()]
            yield Response(status, None, Markup("<br>").join(lines))
        else:
            content = list(response.get("content", {}).values())
            body = kind_of(content[0].get("schema", {})) if content else None
            yield Response(status, body, text(response["description"]))


def _fields(schema: Mapping[str, Any]) -> list[Field]:
    required = schema.get("required", ())
    return [
        Field(name, kind_of(one), name in required)
        for name, one in schema.get("properties", {}).items()
    ]
