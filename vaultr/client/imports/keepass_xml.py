"""Read the XML of KeePass, plain or from a database, as drafts of items."""

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from xml.etree.ElementTree import Element  # nosec B405 - only its type

from vaultr.client.imports import xml_document
from vaultr.client.imports.entry import LOGIN_KEY, TRASH, Entry
from vaultr.client.imports.file_format import check_whole
from vaultr.client.imports.keepass_totp import seed_of
from vaultr.client.imports.problems import reject
from vaultr.client.imports.reading import ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import Draft

_PLACES: Final = {
    "Title": "overview.title",
    "UserName": "overview.username",
    "Password": LOGIN_KEY,
}
_PASSKEY: Final = {
    "KPEX_PASSKEY_CREDENTIAL_ID": "credential_id",
    "KPEX_PASSKEY_PRIVATE_KEY_PEM": "key_value",
    "KPEX_PASSKEY_RELYING_PARTY": "rp_id",
    "KPEX_PASSKEY_USERNAME": "user_name",
    "KPEX_PASSKEY_USER_HANDLE": "user_handle",
    "KPEX_PASSKEY_GENERATED_USER_ID": "user_id",
}
_YEAR_ONE: Final = datetime(1, 1, 1, tzinfo=UTC)


def read_file(file: ImportFile) -> Reading:
    """Read a plain XML export.

    :raises ImportProblems: it is not such an export, or an entry is invalid.
    """
    check_whole(file.data)
    return read_document(xml_document.parse(file.data, None))


def read_document(root: Element) -> Reading:
    """Read a document whose protected values are decrypted.

    :raises ImportProblems: it is not from KeePass, or an entry is invalid.
    """
    top = root.find("Root/Group")
    if root.tag != "KeePassFile" or top is None:
        reject("This XML is not a KeePass export, which begins with KeePassFile and has a Group.")
    enabled = (root.findtext("Meta/RecycleBinEnabled") or "True").lower() == "true"
    bin_id = root.findtext("Meta/RecycleBinUUID") if enabled else None
    report, drafts = Report(), []
    for element, folder, in_trash in _entries(top, bin_id):
        draft = _draft(element, folder, report, in_trash=in_trash)
        if draft is not None:
            drafts.append(draft)
    return checked(drafts, report)


def _entries(top: Element, bin_id: str | None) -> Iterator[tuple[Element, str, bool]]:
    """Return all entries with their folders, and whether they are in the recycle bin."""
    left: list[tuple[Element, str, bool]] = [(top, "", False)]
    while left:
        group, folder, in_trash = left.pop()
        for entry in group.findall("Entry"):
            yield entry, folder, in_trash
        for inner in reversed(group.findall("Group")):
            name = inner.findtext("Name") or ""
            path = f"{folder}/{name}" if folder else name
            trashed = in_trash or (bin_id is not None and inner.findtext("UUID") == bin_id)
            left.append((inner, path, trashed))


def _draft(element: Element, folder: str, report: Report, *, in_trash: bool) -> Draft | None:
    strings = list(_strings(element))
    names = {name for name, value, _ in strings if value}
    seed = seed_of({name: value for name, value, _ in strings})
    is_login = seed is not None or not names.isdisjoint({"UserName", "Password", "URL"})
    entry = Entry(report, "entry", "login" if is_login else "note")
    entry.put("Title", "overview.title", next((v for n, v, _ in strings if n == "Title"), ""))
    if in_trash:
        entry.drop(TRASH)
        return None
    entry.put("Group", "overview.folder", folder)
    tags = (element.findtext("Tags") or "").replace(",", ";").split(";")
    entry.put("Tags", "overview.tags", [tag.strip() for tag in tags if tag.strip()])
    if seed is not None:
        entry.put(seed.name, "detail.totp", seed.value)
        strings = [each for each in strings if each[0] not in seed.fields]
    _put_strings(entry, strings)
    _history(entry, element)
    for binary in element.findall("Binary"):
        entry.attachment(binary.findtext("Key") or "file")
    if any(window.text for window in element.findall("AutoType/Association/Window")):
        entry.leave_out("auto-type", "Vaultr does not type into other programs")
    times = element.find("Times")
    if (element.findtext("Times/Expires") or "").lower() == "true":
        expires = _time(times, "ExpiryTime")
        entry.put("ExpiryTime", "overview.expires_on", (expires or "")[:10])
    return entry.draft(
        "keepass",
        id=_identity(element),
        created_at=_time(times, "CreationTime"),
        updated_at=_time(times, "LastModificationTime"),
    )


def _strings(element: Element) -> Iterator[tuple[str, str, bool]]:
    """Return name, value, and whether KeePass hides it."""
    for string in element.findall("String"):
        value = string.find("Value")
        if value is not None:
            hidden = "true" in (
                value.get("Protected", "").lower(),
                value.get("ProtectInMemory", "").lower(),
            )
            yield string.findtext("Key") or "", value.text or "", hidden


def _put_strings(entry: Entry, strings: list[tuple[str, str, bool]]) -> None:
    passkey: dict[str, str] = {}
    for name, value, hidden in strings:
        if name in _PASSKEY:
            passkey[_PASSKEY[name]] = value
        elif name in _PLACES and (entry.type == "login" or name == "Title"):
            entry.put(name, _PLACES[name], value)
        elif name == "Notes":
            entry.note(name, value)
        elif name == "URL" or name.startswith("KP2A_URL"):
            entry.url(name, value)
        else:
            entry.field(name, value, hidden=hidden)
    if all(passkey.get(name) for name in ("credential_id", "key_value", "rp_id")):
        entry.put("passkey", "detail.passkeys", [passkey])
    elif passkey:
        entry.leave_out("passkey", "it is incomplete")


def _history(entry: Entry, element: Element) -> None:
    versions = [*element.findall("History/Entry"), element]
    found = []
    for version in versions:
        password = next((v for name, v, _ in _strings(version) if name == "Password"), "")
        found.append((password, _time(version.find("Times"), "LastModificationTime")))
    for (before, _), (after, since) in pairwise(found):
        if before != after:
            entry.past(before, since)


def _identity(element: Element) -> str | None:
    text = element.findtext("UUID")
    try:
        return base64.b64decode(text or "", validate=True).hex() or None
    except (binascii.Error, ValueError):
        return text


def _time(times: Element | None, name: str) -> str | None:
    text = None if times is None else times.findtext(name)
    if not text:
        return None
    try:
        # Databases of version 4 have seconds since year 1 instead of a date.
        seconds = int.from_bytes(base64.b64decode(text, validate=True), "little", signed=True)
        moment = _YEAR_ONE + timedelta(seconds=seconds)
    except (binascii.Error, ValueError):
        return text
    except OverflowError:
        return None
    return moment.isoformat().replace("+00:00", "Z")
