"""Read Bitwarden's JSON and zip exports, plain or password-protected, as drafts."""

from collections.abc import Callable
from typing import Any, Final

from vaultr.client.imports.archives import Archive
from vaultr.client.imports.bitwarden_items import read_entry
from vaultr.client.imports.entry import NOT_STORED
from vaultr.client.imports.file_format import ZIP, check_whole, json_object
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ImportFile, LeftOut, Reading, Report, checked
from vaultr.client.items.schemas import Draft, ItemInvalid, check

AskPassword = Callable[[], str]

_AGAIN: Final = (
    "Export again as JSON (in Bitwarden: Tools, Export vault, file format .json,"
    " or .json (Encrypted) with its own password)."
)
_RESTRICTED: Final = (
    "This export is encrypted for one Bitwarden account (account restricted), so only that account"
    " can open it. Export again: file format .json, or .json (Encrypted) with the choice"
    " 'password protected'."
)
_HOLLOW: Final = (
    " Newer accounts write such files without any secrets, and this one has none:"
    " nothing can be restored from it."
)


def read_file(file: ImportFile) -> Reading:
    """Read a whole export, or fail without reading any of it.

    :raises ImportProblems: lists every invalid entry, or the problem of the file as a whole:
        another format, truncated, a wrong password, no entries.
    """
    check_whole(file.data)
    names: list[str] = []
    data = file.data
    if data.startswith(ZIP):
        archive = Archive(data)
        if "data.json" not in archive.names:
            reject(f"This zip archive is not a Bitwarden export: it has no data.json. {_AGAIN}")
        names = [name for name in archive.names if name.startswith("attachments/")]
        data = archive.read("data.json")
    document = json_object(data, _AGAIN)
    if document.get("encrypted") is True:
        document = _opened(document, file.ask_password)
    reading = _read_document(document)
    for name in names:
        _, _, rest = name.partition("/")
        title, _, attachment = rest.partition("/")
        if attachment:
            left = LeftOut(title, f"attachment {attachment}", NOT_STORED)
            reading.report.left_out.append(left)
    return reading


def _read_document(document: dict[str, Any]) -> Reading:
    folders, collections = document.get("folders"), document.get("collections")
    items = document.get("items")
    if not isinstance(items, list) or not isinstance(folders or collections or [], list):
        reject(
            "This JSON is not an export of Bitwarden, which has 'encrypted', 'folders' and 'items'."
        )
    if not items:
        reject("This export has no entries.")
    problems: list[Problem] = []
    names = {
        **_names(folders, "folder", problems),
        **_names(collections, "collection", problems),
    }
    report = Report()
    drafts = _drafts(items, names, report, problems)
    return checked(drafts, report, problems)


def _opened(document: dict[str, Any], ask_password: AskPassword) -> dict[str, Any]:
    if document.get("passwordProtected") is not True:
        items = document.get("items")
        hollow = isinstance(items, list) and bool(items) and not any(map(_has_name, items))
        reject(_RESTRICTED + (_HOLLOW if hollow else ""))
    # cryptography and argon2 are slow to import, and few files need them.
    from vaultr.client.imports import bitwarden_encrypted  # noqa: PLC0415 - heavy, see above

    plain = json_object(bitwarden_encrypted.open_document(document, ask_password), _AGAIN)
    if plain.get("encrypted") is not False:
        reject("This protected file does not contain a plain Bitwarden export.")
    return plain


def _has_name(item: object) -> bool:
    return isinstance(item, dict) and bool(item.get("name"))


def _names(folders: object, kind: str, problems: list[Problem]) -> dict[str, str]:
    """Return the names of folders, or of an organisation's collections, by id."""
    names: dict[str, str] = {}
    for number, each in enumerate(folders if isinstance(folders, list) else [], start=1):
        members = Members(each, "")
        folder_id, name = members.text("id"), members.text("name")
        problems += [Problem(f"{kind} {number}", fault) for fault in members.faults]
        if folder_id and name:
            names[folder_id] = name
    return names


def _drafts(
    items: list[Any], names: dict[str, str], report: Report, problems: list[Problem]
) -> list[Draft]:
    drafts: list[Draft] = []
    for number, item in enumerate(items, start=1):
        members = Members(item, "")
        draft = read_entry(members, names, report)
        if draft is not None and not members.faults:
            drafts.append(draft)
            try:
                check(draft.type, draft.overview, draft.detail)
            except ItemInvalid as error:
                members.faults += [f"{where} {what}" for where, what in error.faults]
        problems += [Problem(f"entry {number}", fault) for fault in members.faults]
    if problems:
        raise ImportProblems(problems)
    return drafts
