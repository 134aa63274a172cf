"""Read Kubernetes Secrets in YAML as environment sets."""

import base64
import binascii
from typing import Any, Final

from vaultr.client.imports.entry import Entry
from vaultr.client.imports.file_format import text_of
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import NO_VALUE, VARIABLE_NAME, Draft

_EVENTS_MOST: Final = 200_000
_DEPTH_MOST: Final = 50


def read_file(file: ImportFile) -> Reading:
    """Read one Secret, several documents, or a List of them.

    :raises ImportProblems: it is not YAML, or a Secret is invalid.
    """
    report, drafts, problems = Report(), [], []
    found = [each for document in _documents(text_of(file.data)) for each in _objects(document)]
    for number, value in enumerate(found, start=1):
        members = Members(value, "")
        kind = members.text("kind")
        if kind != "Secret":
            entry = Entry(report, kind or "object", "note")
            entry.put("name", "overview.title", _name(members))
            entry.drop("it is not a Secret")
            continue
        drafts.append(_draft(members, report))
        problems += [Problem(f"document {number}", fault) for fault in members.faults]
    if problems:
        raise ImportProblems(problems)
    return checked(drafts, report)


def _documents(text: str) -> list[Any]:
    try:
        import yaml  # noqa: PLC0415 - an extra, which only this format needs
    except ImportError:
        reject("Reading YAML needs the package PyYAML: pip install 'vaultr[yaml]'.")
    try:
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            # An alias repeats the content of its anchor: a few lines could become gigabytes.
            if isinstance(event, yaml.AliasEvent):
                reject("This YAML has aliases, which no Secret needs. It was not read.")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH_MOST or number > _EVENTS_MOST:
                reject("This YAML is nested too deep, or too long, for a Secret.")
        return [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reject(f"Line {line} is not YAML: {error.problem}.")
    except (yaml.YAMLError, ValueError, RecursionError):
        reject("This file is not YAML: it has a character or a value that YAML does not allow.")


def _objects(document: Any) -> list[Any]:
    if isinstance(document, dict) and document.get("kind") == "List":
        items = document.get("items")
        return items if isinstance(items, list) else []
    return [document]


def _name(members: Members) -> str | None:
    return Members(members.object("metadata"), "metadata").text("name")


def _draft(secret: Members, report: Report) -> Draft:
    metadata = secret.within("metadata")
    entry = Entry(report, "Secret", "env_set")
    entry.put("metadata.name", "overview.title", metadata.text("name"))
    namespace = metadata.text("namespace")
    entry.put("metadata.namespace", "overview.folder", namespace)
    variables: dict[str, str] = {}
    for name, value in _values(secret, entry).items():
        if VARIABLE_NAME.fullmatch(name) and not NO_VALUE.search(value):
            variables[name] = value
            report.fields["Secret", "data", "variables"] += 1
        else:
            entry.field(name, value, hidden=True)
    entry.detail["variables"] = variables
    kind = secret.text("type")
    identity = metadata.text("uid")
    return entry.draft("kubernetes", id=identity, kind=None if kind == "Opaque" else kind)


def _values(secret: Members, entry: Entry) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, text in secret.object("data").items():
        try:
            data = base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            secret.odd(f"data.{name}", "is not base64")
            continue
        try:
            values[str(name)] = data.decode()
        except UnicodeDecodeError:
            entry.leave_out(str(name), "it is binary, and items hold text")
    # As in Kubernetes, stringData overrides data.
    for name, text in secret.object("stringData").items():
        values[str(name)] = str(text)
    return values
