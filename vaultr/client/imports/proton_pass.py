"""Read an export of Proton Pass, JSON or zip, as drafts of items."""

from collections.abc import Callable
from typing import Any, Final

from vaultr.client.imports.archives import Archive
from vaultr.client.imports.entry import TRASH, Entry, time_of
from vaultr.client.imports.file_format import ZIP, check_whole, json_object
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.problems import Problem, reject
from vaultr.client.imports.reading import ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import Draft

_AGAIN: Final = "Export again from Proton Pass: Settings, Export, format JSON or zip."
_TYPES: Final = {
    "login": "login",
    "note": "note",
    "alias": "login",
    "creditCard": "card",
    "identity": "identity",
    "sshKey": "ssh_key",
    "wifi": "note",
    "custom": "note",
}
_TRASHED: Final = 2
_CARD: Final = {
    "cardholderName": "detail.cardholder",
    "number": "detail.number",
    "verificationNumber": "detail.code",
}
_IDENTITY: Final = {
    "firstName": "detail.first_name",
    "middleName": "detail.middle_name",
    "lastName": "detail.last_name",
    "company": "detail.company",
    "organization": "detail.company",
    "email": "detail.email",
    "phoneNumber": "detail.phone",
    "streetAddress": "detail.address1",
    "city": "detail.city",
    "stateOrProvince": "detail.state",
    "zipOrPostalCode": "detail.postal_code",
    "countryOrRegion": "detail.country",
    "socialSecurityNumber": "detail.ssn",
    "passportNumber": "detail.passport_number",
    "licenseNumber": "detail.licence_number",
}
_PASSKEY: Final = {
    "credentialId": "credential_id",
    "content": "key_value",
    "domain": "rp_id",
    "rpName": "rp_name",
    "userId": "user_id",
    "userName": "user_name",
    "userDisplayName": "user_display_name",
}


def read_file(file: ImportFile) -> Reading:
    """Read a whole export.

    :raises ImportProblems: lists every invalid entry.
    """
    check_whole(file.data)
    document = json_object(_json_of(file.data), _AGAIN)
    if document.get("encrypted") is True:
        reject(f"This export is encrypted with PGP, which Vaultr does not read. {_AGAIN}")
    vaults = document.get("vaults")
    if not isinstance(vaults, dict):
        reject(f"This JSON is not an export of Proton Pass, which has 'vaults'. {_AGAIN}")
    report, drafts, problems = Report(), [], []
    number = 0
    for each in vaults.values():
        vault = Members(each, "vault")
        name = vault.text("name")
        for item in vault.values("items"):
            number += 1
            members = Members(item, "")
            draft = _draft(members, name, report)
            problems += [Problem(f"entry {number}", fault) for fault in members.faults]
            if draft is not None and not members.faults:
                drafts.append(draft)
    return checked(drafts, report, problems)


def _json_of(data: bytes) -> bytes:
    if not data.startswith(ZIP):
        return data
    archive = Archive(data)
    found = [name for name in archive.names if name.rpartition("/")[2] == "data.json"]
    if len(found) != 1:
        reject(f"This zip archive is not a Proton Pass export: it has no data.json. {_AGAIN}")
    return archive.read(found[0])


def _draft(item: Members, vault: str | None, report: Report) -> Draft | None:
    data = item.within("data")
    metadata, content = data.within("metadata"), data.within("content")
    kind = data.text("type") or "unknown"
    entry = Entry(report, kind, _TYPES.get(kind, "note"))
    entry.put("name", "overview.title", metadata.text("name"))
    if item.number("state") == _TRASHED:
        entry.drop(TRASH)
        return None
    entry.note("note", metadata.text("note"))
    entry.put("vault", "overview.folder", vault)
    entry.put("pinned", "overview.favourite", item.flag("pinned"))
    _READERS.get(kind, _other)(entry, content)
    entry.put("aliasEmail", "overview.username", item.text("aliasEmail"))
    for field in data.all_within("extraFields"):
        _extra_field(entry, field, "")
    for name in item.texts("files"):
        entry.attachment(name.rpartition("/")[2])
    for section in content.all_within("sections"):
        title = section.text("sectionName") or "section"
        for field in section.all_within("sectionFields"):
            _extra_field(entry, field, f"{title}: ")
    _rest(entry, content)
    return entry.draft(
        "proton-pass",
        id=item.text("itemId"),
        created_at=time_of(item.number("createTime")),
        updated_at=time_of(item.number("modifyTime")),
    )


def _extra_field(entry: Entry, field: Members, prefix: str) -> None:
    name = prefix + (field.text("fieldName") or "field")
    kind, data = field.text("type"), field.within("data")
    if kind == "totp":
        uri = data.text("totpUri")
        if entry.type == "login":
            entry.put(name, "detail.totp", uri)
        else:
            entry.field(name, uri, hidden=True)
    else:
        value = data.text_or_flag("content") or data.text("timestamp")
        entry.field(name, value, hidden=kind == "hidden")


def _login(entry: Entry, content: Members) -> None:
    username, email = content.text("itemUsername"), content.text("itemEmail")
    entry.put("itemUsername", "overview.username", username or content.text("username"))
    entry.put("itemEmail", "overview.username", email)
    entry.put("password", "detail.password", content.text("password"))
    entry.put("totpUri", "detail.totp", content.text("totpUri"))
    for url in content.texts("urls"):
        entry.url("urls", url)
    for passkey in content.all_within("passkeys"):
        _passkey(entry, passkey)


def _passkey(entry: Entry, passkey: Members) -> None:
    found = {ours: passkey.text(theirs) for theirs, ours in _PASSKEY.items()}
    if not all(found[name] for name in ("credential_id", "key_value", "rp_id")):
        entry.leave_out("passkey", "it is incomplete")
        return
    known: dict[str, Any] = {name: value for name, value in found.items() if value}
    entry.detail.setdefault("passkeys", []).append({**passkey.rest(), **known})


def _card(entry: Entry, card: Members) -> None:
    for theirs, place in _CARD.items():
        entry.put(theirs, place, card.text(theirs))
    card.forget("cardType")
    date = card.text("expirationDate") or ""
    year, dash, month = date.partition("-")
    if dash:
        entry.put("expirationDate", "detail.exp_year", year)
        entry.put("expirationDate", "detail.exp_month", month)
    else:
        entry.field("expirationDate", date)
    entry.field("pin", card.text("pin"), hidden=True)


def _identity(entry: Entry, identity: Members) -> None:
    for theirs, place in _IDENTITY.items():
        entry.put(theirs, place, identity.text(theirs))


def _ssh_key(entry: Entry, key: Members) -> None:
    entry.put("privateKey", "detail.private_key", key.text("privateKey"))
    entry.put("publicKey", "overview.public_key", key.text("publicKey"))


def _other(entry: Entry, content: Members) -> None:
    """Store everything as custom fields."""


def _rest(entry: Entry, content: Members) -> None:
    """Store values without a place as custom fields; any of them may be secret."""
    for name, value in content.rest().items():
        if isinstance(value, str | int | bool):
            entry.field(name, value, hidden=True)
        else:
            entry.source.setdefault("more", {})[name] = value


_READERS: Final[dict[str, Callable[[Entry, Members], None]]] = {
    "login": _login,
    "creditCard": _card,
    "identity": _identity,
    "sshKey": _ssh_key,
}
