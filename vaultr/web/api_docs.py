"""The API's page: what the OpenAPI document says, to be read without any program of others."""

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
    "openapi": "This description",
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
    """A parameter, or a member of a body: its name, what it takes, where it is."""

    name: str
    kind: Markup
    required: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers with one status: a body, or the refusals that have it."""

    status: str
    body: Markup | None
    says: Markup


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: Markup
    description: Markup
    is_public: bool
    parameters: list[Field]
    body: Markup | None
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class Model:
    """One schema of the document: an object with fields, or whatever else its kind says."""

    name: str
    description: Markup
    fields: list[Field]
    kind: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """The operations of one part of the API."""

    id: str
    title: str
    operations: list[Operation]


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Give the operations of a document, by the part of the API that they belong to."""
    by_tag: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            by_tag.setdefault(told["tags"][0], []).append(_operation(path, method, told))
    order = [*_TITLES, *sorted(by_tag.keys() - _TITLES.keys())]
    known = [tag for tag in order if tag in by_tag]
    return [Section(tag, _TITLES.get(tag, tag.capitalize()), by_tag[tag]) for tag in known]


def models(document: Mapping[str, Any]) -> list[Model]:
    """Give the schemas of a document in the order of their names."""
    return [
        Model(name, text(schema.get("description", "")), _fields(schema), kind_of(schema))
        for name, schema in sorted(document["components"]["schemas"].items())
    ]


def text(words: str) -> Markup:
    """Write a text whose code stands between backticks as HTML."""
    marked = _CODE.sub(r"<code>\1</code>", str(escape(words)))
    return Markup(marked)  # nosec B704 - escaped before anything was marked


def kind_of(schema: Mapping[str, Any]) -> Markup:
    """Say in words what a schema takes, with links to the schemas that it names."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "const" in schema:
        return Markup("<code>{}</code>").format(_shown(schema["const"]))
    if "enum" in schema:
        choices = [Markup("<code>{}</code>").format(_shown(one)) for one in schema["enum"]]
        return Markup(" | ").join(choices)
    for word, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " with ")):
        if word in schema:
            return escape(between).join(kind_of(one) for one in schema[word])
    if schema.get("type") == "array":
        return Markup("list of {}").format(kind_of(schema.get("items", {}))) + _bounds(schema)
    if "format" in schema:  # which says more than its pattern
        return escape(schema["format"])
    return escape(schema.get("type", "any")) + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> Markup:
    said = [form.format(_shown(schema[word])) for word, form in _BOUNDS if word in schema]
    return Markup(", <small>{}</small>").format(", ".join(said)) if said else Markup("")


def _shown(value: Any) -> str:
    return (
        value if isinstance(value, str) else {True: "true", False: "false"}.get(value, str(value))
    )


def _operation(path: str, method: str, told: Mapping[str, Any]) -> Operation:
    body = told.get("requestBody", {}).get("content", {})
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=text(told["summary"]),
        description=text(told.get("description", "")),
        is_public=not told["security"],
        parameters=[
            Field(one["name"], kind_of(one["schema"]), bool(one.get("required")), one["in"])
            for one in told.get("parameters", ())
        ],
        body=next((kind_of(one["schema"]) for one in body.values()), None),
        answers=list(_answers(told["responses"])),
    )


def _answers(responses: Mapping[str, Any]) -> Iterator[Answer]:
    for status, told in responses.items():
        if int(status) >= 400:
            lines = [text(line.removeprefix("- ")) for line in told["description"].splitlines()]
            yield Answer(status, None, Markup("<br>").join(lines))
        else:
            content = list(told.get("content", {}).values())
            body = kind_of(content[0].get("schema", {})) if content else None
            yield Answer(status, body, text(told["description"]))


def _fields(schema: Mapping[str, Any]) -> list[Field]:
    required = schema.get("required", ())
    return [
        Field(name, kind_of(one), name in required)
        for name, one in schema.get("properties", {}).items()
    ]
