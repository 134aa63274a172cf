"""Turns one entry of a Bitwarden export into a draft; what has no field here is kept as source."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from vaultr.client.imports.json_members import Members
from vaultr.client.items.schemas import Draft, Part

# Numbers and names of members: what version 2026.9.0 of Bitwarden's command line writes.
_TYPES: Final = {1: "login", 2: "note", 3: "card", 4: "identity", 5: "ssh_key"}
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
_PASSKEY_NEEDS: Final = ("credential_id", "key_value", "rp_id")
# Bitwarden 2025.12 wrote this for a passkey's counter and discoverable (clients #18321).
_LOST: Final = "[object Object]"


def read_entry(entry: Members, folders: Mapping[str, str]) -> Draft | None:
    """Read one entry; what is odd is added to ``entry.faults``, and then the draft is worthless.

    :param folders: names of folders and collections by id.
    """
    kind = entry.choice("type", _TYPES)
    if kind is None:
        if not entry.faults:
            entry.odd("type", "is missing")
        return None
    overview: Part = {"title": entry.text("name") or ""}
    detail: Part = {}
    more: dict[str, Any] = {}
    if kind == "note":
        entry.forget("secureNote")  # {type: 0} says nothing more
    else:
        own = entry.within(_OBJECTS[kind])
        _READERS[kind](own, overview, detail)
        more = {_OBJECTS[kind]: own.rest()}
    overview["title"] = overview["title"] or _title_without_name(overview)
    _common(entry, overview, detail, folders)
    _set(detail, history=_history(entry))
    detail["source"] = _source(entry, more)
    return Draft(kind, overview, detail)


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
    _set(detail, notes=entry.text("notes"), fields=_fields(entry))


def _login(login: Members, overview: Part, detail: Part) -> None:
    urls: list[str] = []
    matches: dict[str, str] = {}
    for uri in login.all_within("uris"):
        url, match = uri.text("uri"), uri.choice("match", _MATCHES)
        if url:
            urls.append(url)
            if match:
                matches[url] = match
    _set(overview, username=login.text("username"), urls=urls, url_match=matches)
    _set(
        detail,
        password=login.text("password"),
        totp=login.text("totp"),
        passkeys=[_passkey(each) for each in login.all_within("fido2Credentials")],
    )


def _card(card: Members, overview: Part, detail: Part) -> None:
    _set(overview, brand=card.text("brand"))
    _set(detail, **{ours: card.text(theirs) for theirs, ours in _CARD.items()})


def _identity(identity: Members, overview: Part, detail: Part) -> None:
    _set(overview, username=identity.text("username"))
    _set(detail, **{ours: identity.text(theirs) for theirs, ours in _IDENTITY.items()})


def _ssh_key(key: Members, overview: Part, detail: Part) -> None:
    _set(overview, public_key=key.text("publicKey"), fingerprint=key.text("keyFingerprint"))
    _set(detail, private_key=key.text("privateKey"))


_READERS: Final = {"login": _login, "card": _card, "identity": _identity, "ssh_key": _ssh_key}


def _passkey(credential: Members) -> dict[str, Any]:
    passkey: dict[str, Any] = {}
    for theirs, ours in _PASSKEY.items():
        value = credential.text_or_flag(theirs)
        if value is not None and value != _LOST:
            passkey[ours] = value
        elif ours in _PASSKEY_NEEDS:
            credential.odd(theirs, "is missing")
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


def _title_without_name(overview: Part) -> str:
    try:
        host = urlsplit(overview.get("urls", [""])[0]).hostname
    except (ValueError, IndexError):
        host = None
    return host or overview.get("username") or "Untitled"


def _set(part: Part, **values: Any) -> None:
    """Put in what is not empty, in this order."""
    part.update({name: value for name, value in values.items() if value})
