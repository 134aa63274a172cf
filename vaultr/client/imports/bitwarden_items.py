"""Convert an entry of a Bitwarden export to a draft; values without a field are kept as source."""

from collections.abc import Mapping
from typing import Any, Final

from vaultr.client.imports.entry import title_without_name
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.reading import LeftOut, Report
from vaultr.client.items.schemas import Draft, Part

# Numbers and member names as written by version 2026.9.0 of Bitwarden's command line.
_TYPES: Final = {
    1: ("login", "login"),
    2: ("secure note", "note"),
    3: ("card", "card"),
    4: ("identity", "identity"),
    5: ("SSH key", "ssh_key"),
}
_OBJECTS: Final = {"login": "login", "card": "card", "identity": "identity", "ssh_key": "sshKey"}
_FIELD_KINDS: Final = {0: "text", 1: "hidden", 2: "flag", 3: "link"}
_MATCHES: Final = dict(enumerate(["domain", "host", "starts_with", "exact", "regex", "never"]))
_CARD: Final = {
    "cardholderName": "cardholder",
    "number": "number",
    "expMonth": "exp_month",
    "expYear": "exp_year",
    "code": "code",
}
_IDENTITY: Final = {
    "title": "honorific",
    "firstName": "first_name",
    "middleName": "middle_name",
    "lastName": "last_name",
    "address1": "address1",
    "address2": "address2",
    "address3": "address3",
    "city": "city",
    "state": "state",
    "postalCode": "postal_code",
    "country": "country",
    "company": "company",
    "email": "email",
    "phone": "phone",
    "ssn": "ssn",
    "passportNumber": "passport_number",
    "licenseNumber": "licence_number",
}
_PASSKEY: Final = {
    "credentialId": "credential_id",
    "keyType": "key_type",
    "keyAlgorithm": "key_algorithm",
    "keyCurve": "key_curve",
    "keyValue": "key_value",
    "rpId": "rp_id",
    "rpName": "rp_name",
    "userHandle": "user_handle",
    "userName": "user_name",
    "userDisplayName": "user_display_name",
    "counter": "counter",
    "discoverable": "discoverable",
    "creationDate": "created_at",
}
# Bitwarden's names for fields that have other names here, for the report.
_THEIRS: Final = {
    **{ours: theirs for part in (_CARD, _IDENTITY) for theirs, ours in part.items()},
    "title": "name",
    "urls": "uris",
    "favourite": "favorite",
    "archived": "archivedDate",
    "passkeys": "fido2Credentials",
    "history": "passwordHistory",
    "tags": "collections",
    "private_key": "privateKey",
    "public_key": "publicKey",
    "fingerprint": "keyFingerprint",
}
_PASSKEY_NEEDS: Final = ("credential_id", "key_value", "rp_id")
# Bitwarden 2025.12 wrote this for a passkey's counter and discoverable (clients #18321).
_LOST: Final = "[object Object]"


def read_entry(entry: Members, folders: Mapping[str, str], report: Report) -> Draft | None:
    """Read one entry. If ``entry.faults`` is not empty afterwards, do not use the draft.

    An entry of an unknown type becomes a note with its values as fields.

    :param folders: names of folders and collections by id.
    """
    number = None if entry.faults else entry.whole_number("type")
    if number is None:
        return None
    kind, ours = _TYPES.get(number, (f"type {number}", "note"))
    overview: Part = {"title": entry.text("name") or ""}
    detail: Part = {}
    more: dict[str, Any] = {}
    left_out: list[str] = []
    if number not in _TYPES:
        _keep_unknown(entry, detail)
    elif ours == "note":
        entry.forget("secureNote")  # {type: 0} says nothing more
    else:
        own = entry.within(_OBJECTS[ours])
        if ours == "login":
            _login(own, overview, detail, left_out)
        else:
            _READERS[ours](own, overview, detail)
        more = {_OBJECTS[ours]: own.rest()}
    overview["title"] = overview["title"] or title_without_name(overview)
    _common(entry, overview, detail, folders)
    _set(detail, history=_history(entry))
    detail["source"] = _source(entry, more)
    _report(report, kind, Draft(ours, overview, detail), left_out)
    return Draft(ours, overview, detail)


def _report(report: Report, kind: str, draft: Draft, left_out: list[str]) -> None:
    report.kinds[kind, draft.type] += 1
    for name in (*draft.overview, *draft.detail):
        if name not in ("source", "url_match"):
            report.fields[kind, _THEIRS.get(name, name), name] += 1
    title = str(draft.overview["title"])
    report.left_out += [LeftOut(title, what, "it is incomplete") for what in left_out]


def _keep_unknown(entry: Members, detail: Part) -> None:
    """Keep the texts in the entry's own object as custom fields; any of them may be secret."""
    fields = [
        {"name": name, "kind": "hidden", "value": value}
        for own in entry.take_objects()
        for name, value in own.items()
        if isinstance(value, str) and value
    ]
    _set(detail, unknown_fields=fields)


def _common(entry: Members, overview: Part, detail: Part, folders: Mapping[str, str]) -> None:
    places = [folder for folder in (entry.text("folderId"),) if folder]
    places += entry.texts("collectionIds")
    if any(place not in folders for place in places):
        entry.odd("folderId", "names no folder of this file")
        places = []
    names = [folders[place] for place in places]
    _set(
        overview,
        folder=names[0] if names else None,
        tags=names[1:],
        favourite=entry.flag("favorite"),
        archived="archivedDate" in entry,
    )
    fields = [*_fields(entry), *detail.pop("unknown_fields", [])]
    _set(detail, notes=entry.text("notes"), fields=fields)


def _login(login: Members, overview: Part, detail: Part, left_out: list[str]) -> None:
    urls: list[str] = []
    matches: dict[str, str] = {}
    for uri in login.all_within("uris"):
        url, match = uri.text("uri"), uri.choice("match", _MATCHES)
        if url:
            urls.append(url)
            if match:
                matches[url] = match
    passkeys = [_passkey(each) for each in login.all_within("fido2Credentials")]
    _set(overview, username=login.text("username"), urls=urls, url_match=matches)
    _set(
        detail,
        password=login.text("password"),
        totp=login.text("totp"),
        passkeys=[each for each in passkeys if each is not None],
    )
    left_out += ["passkey" for each in passkeys if each is None]


def _card(card: Members, overview: Part, detail: Part) -> None:
    _set(overview, brand=card.text("brand"))
    _set(detail, **{ours: card.text(theirs) for theirs, ours in _CARD.items()})


def _identity(identity: Members, overview: Part, detail: Part) -> None:
    _set(overview, username=identity.text("username"))
    _set(detail, **{ours: identity.text(theirs) for theirs, ours in _IDENTITY.items()})


def _ssh_key(key: Members, overview: Part, detail: Part) -> None:
    _set(overview, public_key=key.text("publicKey"), fingerprint=key.text("keyFingerprint"))
    _set(detail, private_key=key.text("privateKey"))


_READERS: Final = {"card": _card, "identity": _identity, "ssh_key": _ssh_key}


def _passkey(credential: Members) -> dict[str, Any] | None:
    """Return a passkey; None if it lacks what a login needs."""
    passkey: dict[str, Any] = {}
    for theirs, ours in _PASSKEY.items():
        value = credential.text_or_flag(theirs)
        if value is not None and value != _LOST:
            passkey[ours] = value
    if not all(name in passkey for name in _PASSKEY_NEEDS):
        return None
    return {**credential.rest(), **passkey}


def _fields(entry: Members) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = []
    for each in entry.all_within("fields"):
        field: dict[str, Any] = {"name": each.text("name") or ""}
        field["kind"] = each.choice("type", _FIELD_KINDS) or "text"
        field["value"] = each.text_or_flag("value") or ""
        fields.append({**each.rest(), **field})
    return fields


def _history(entry: Members) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = []
    for each in entry.all_within("passwordHistory"):
        password, until = each.text("password"), each.text("lastUsedDate")
        if password:
            past: dict[str, Any] = {"password": password}
            _set(past, used_until=until)
            history.append({**each.rest(), **past})
    return history


def _source(entry: Members, more: dict[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] = {"manager": "bitwarden"}
    _set(
        source,
        id=entry.text("id"),
        created_at=entry.text("creationDate"),
        updated_at=entry.text("revisionDate"),
        archived_at=entry.text("archivedDate"),
        reprompt=entry.flag("reprompt"),
        more={**entry.rest(), **{name: rest for name, rest in more.items() if rest}},
    )
    return source


def _set(part: Part, **values: Any) -> None:
    """Store the non-empty values, in this order."""
    part.update({name: value for name, value in values.items() if value})
