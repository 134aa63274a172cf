"""Read the JSON of Doppler, Infisical and Bitwarden Secrets Manager as environment sets."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vaultr.client.imports.entry import Entry
from vaultr.client.imports.file_format import json_object, text_of
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import NO_VALUE, VARIABLE_NAME, Draft

_ADVICE: Final = "Export the secrets again as JSON."
_SECRET: Final = "secret"


def read_file(file: ImportFile) -> Reading:
    """Read a list or an object of secrets from any of the three.

    :raises ImportProblems: lists every invalid secret.
    """
    text = text_of(file.data)
    if text.lstrip().startswith("["):
        return _infisical(_list_of(file.data), file.title)
    document = json_object(file.data, _ADVICE)
    if isinstance(document.get("secrets"), list) and "projects" in document:
        return _secrets_manager(document)
    return _doppler(document, file.title)


def _list_of(data: bytes) -> list[Any]:
    # The parser accepts only an object, so the list becomes a member of an object.
    whole = json_object(b'{"secrets":' + text_of(data).encode() + b"}", _ADVICE)
    found = whole["secrets"]
    return found if isinstance(found, list) else []


def _doppler(document: dict[str, Any], title: str) -> Reading:
    values: dict[str, Any] = {}
    for name, value in document.items():
        # With names only, or with each value in an object beside its note.
        values[name] = value.get("computed") if isinstance(value, dict) else value
    project, config = values.pop("DOPPLER_PROJECT", None), values.pop("DOPPLER_CONFIG", None)
    environment = values.pop("DOPPLER_ENVIRONMENT", None)
    names = [each for each in (project, config) if isinstance(each, str)]
    report = Report()
    entry = Entry(report, "config", "env_set")
    entry.put("project and config", "overview.title", "-".join(names) or title)
    if isinstance(environment, str):
        entry.put("DOPPLER_ENVIRONMENT", "overview.tags", [environment])
    _fill(entry, values.items(), report)
    return checked([entry.draft("doppler", id="/".join(names))], report)


def _infisical(secrets: list[Any], title: str) -> Reading:
    report, problems = Report(), []
    entry = Entry(report, "environment", "env_set")
    entry.put("file", "overview.title", title)
    pairs: list[tuple[str, Any]] = []
    for number, each in enumerate(secrets, start=1):
        members = Members(each, "")
        name, value = members.text("key") or "", members.text_or_flag("value") or ""
        comment = members.text("comment")
        problems += [Problem(f"secret {number}", fault) for fault in members.faults]
        if any(name == known for known, _ in pairs):
            # A personal value overrides a shared one; both are listed.
            entry.leave_out(f"second value of {name}", "a set has one value for a name")
            continue
        pairs.append((name, value))
        entry.note("comment", f"{name}: {comment}" if comment else None)
    if problems:
        raise ImportProblems(problems)
    _fill(entry, pairs, report)
    return checked([entry.draft("infisical")], report)


def _secrets_manager(document: dict[str, Any]) -> Reading:
    report, problems = Report(), []
    names: dict[str, str] = {}
    for each in Members(document, "").all_within("projects"):
        names[each.text("id") or ""] = each.text("name") or "Project"
    sets: dict[str, Entry] = {}
    single: list[Draft] = []
    for number, each in enumerate(document["secrets"], start=1):
        secret = Members(each, "")
        name, value, note = secret.text("key") or "", secret.text("value"), secret.text("note")
        identity = secret.text("id")
        project = next((known for known in secret.texts("projectIds") if known in names), None)
        problems += [Problem(f"secret {number}", fault) for fault in secret.faults]
        if project is not None and _fits(name, value or "", sets.get(project)):
            entry = sets.setdefault(project, _set(report, names[project]))
            entry.detail["variables"][name] = value or ""
            entry.note("note", f"{name}: {note}" if note else None)
            report.fields["project", _SECRET, "variables"] += 1
        else:
            single.append(_api_key(report, name, value, note, names.get(project or ""), identity))
    if problems:
        raise ImportProblems(problems)
    drafts = [entry.draft("bitwarden-secrets", id=project) for project, entry in sets.items()]
    return checked([*drafts, *single], report)


def _set(report: Report, title: str) -> Entry:
    entry = Entry(report, "project", "env_set")
    entry.put("name", "overview.title", title)
    entry.detail["variables"] = {}
    return entry


def _fits(name: str, value: str, entry: Entry | None) -> bool:
    taken: Mapping[str, str] = {} if entry is None else entry.detail["variables"]
    return bool(VARIABLE_NAME.fullmatch(name)) and name not in taken and not NO_VALUE.search(value)


def _api_key(
    report: Report,
    name: str,
    value: str | None,
    note: str | None,
    folder: str | None,
    identity: str | None,
) -> Draft:
    entry = Entry(report, _SECRET, "api_key")
    entry.put("key", "overview.title", name)
    entry.put("project", "overview.folder", folder)
    entry.put("value", "detail.secret", value)
    entry.note("note", note)
    return entry.draft("bitwarden-secrets", id=identity)


def _fill(entry: Entry, pairs: Iterable[tuple[str, Any]], report: Report) -> None:
    """Put values into a set; names that are invalid for variables become custom fields."""
    variables: dict[str, str] = {}
    for name, value in pairs:
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        if VARIABLE_NAME.fullmatch(name) and not NO_VALUE.search(text):
            variables[name] = text
            report.fields[entry.kind, _SECRET, "variables"] += 1
        else:
            entry.field(name, text, hidden=True)
    if not variables and "fields" not in entry.detail:
        reject("This file has no secrets.")
    entry.detail["variables"] = variables
