"""Reads Bitwarden's JSON exports, plain or protected by a password, as drafts of items."""

import json
from collections.abc import Callable
from typing import Any, Final

from vaultr.client.imports.bitwarden_items import read_entry
from vaultr.client.imports.file_format import refuse_other_than_json, text_of
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.problems import ImportProblems, Problem, refuse
from vaultr.client.items.schemas import Draft, ItemInvalid, check
from vaultr.client.strict_json import read_object

AskPassword = Callable[[], str]

_RESTRICTED: Final = (
    "This export is encrypted for one Bitwarden account (account restricted), so only that account"
    " can open it. Export again: file format .json, or .json (Encrypted) with the choice"
    " 'password protected'."
)
_HOLLOW: Final = (
    " Newer accounts write this kind of file without any secret in it, as here:"
    " nobody can restore anything from it."
)


def read(data: bytes, ask_password: AskPassword) -> list[Draft]:
    """Read a whole export, or nothing of it.

    :param ask_password: gives the password of the file; called only if it has one, and only
        after the file's own derivation parameters were found to be within bounds.
    :raises ImportProblems: with everything that is odd, an entry a line; or the one thing that is
        wrong with the file as a whole: another format, cut off, a wrong password, no entries.
    """
    document = _object_of(data)
    if document.get("encrypted") is True:
        document = _opened(document, ask_password)
    folders, collections = document.get("folders"), document.get("collections")
    items = document.get("items")
    if not isinstance(items, list) or not isinstance(folders or collections or [], list):
        refuse(
            "This JSON is not an export of Bitwarden, which has 'encrypted', 'folders' and 'items'."
        )
    if not items:
        refuse("There is no entry in this export.")
    problems: list[Problem] = []
    names = {
        **_names(folders, "folder", problems),
        **_names(collections, "collection", problems),
    }
    drafts = _drafts(items, names, problems)
    if problems:
        raise ImportProblems(problems)
    return drafts


def _object_of(data: bytes) -> dict[str, Any]:
    refuse_other_than_json(data)
    text = text_of(data)
    try:
        return read_object(text.encode())
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            refuse(
                f"The file ends in the middle (line {error.lineno}): it was cut off."
                " Export or copy it again."
            )
        refuse(f"Line {error.lineno}, column {error.colno} is not JSON: {error.msg}.")
    except ValueError as error:
        refuse(f"This is not a JSON file that can be trusted: {error}.")


def _opened(document: dict[str, Any], ask_password: AskPassword) -> dict[str, Any]:
    if document.get("passwordProtected") is not True:
        items = document.get("items")
        hollow = isinstance(items, list) and bool(items) and not any(map(_has_name, items))
        refuse(_RESTRICTED + (_HOLLOW if hollow else ""))
    # cryptography and argon2 take long to import, and few files need them.
    from vaultr.client.imports import bitwarden_encrypted  # noqa: PLC0415 - heavy, see above

    plain = _object_of(bitwarden_encrypted.open_document(document, ask_password))
    if plain.get("encrypted") is not False:
        refuse("What is inside this protected file is not a plain export of Bitwarden.")
    return plain


def _has_name(item: object) -> bool:
    return isinstance(item, dict) and bool(item.get("name"))


def _names(folders: object, kind: str, problems: list[Problem]) -> dict[str, str]:
    """Give the names of folders, or of an organisation's collections, by their ids."""
    names: dict[str, str] = {}
    for number, each in enumerate(folders if isinstance(folders, list) else [], start=1):
        members = Members(each, "")
        folder_id, name = members.text("id"), members.text("name")
        problems += [Problem(f"{kind} {number}", fault) for fault in members.faults]
        if folder_id and name:
            names[folder_id] = name
    return names


def _drafts(items: list[Any], names: dict[str, str], problems: list[Problem]) -> list[Draft]:
    drafts: list[Draft] = []
    for number, item in enumerate(items, start=1):
        members = Members(item, "")
        draft = read_entry(members, names)
        faults = list(members.faults)
        if not faults and draft is not None:
            try:
                check(draft.type, draft.overview, draft.detail)
            except ItemInvalid as error:
                faults = [f"{where} {what}" for where, what in error.faults]
            drafts.append(draft)
        problems += [Problem(f"entry {number}", fault) for fault in faults]
    return drafts
