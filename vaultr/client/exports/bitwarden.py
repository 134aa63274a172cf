"""Write items as the JSON that Bitwarden imports."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from vaultr.client.exports.documents import Contents, Document
from vaultr.client.exports.item_fields import custom_fields, remaining, text_in, texts_in
from vaultr.client.vaultr_client import Item

_TYPES: Final = {"login": 1, "card": 3, "identity": 4, "ssh_key": 5}
_NOTE: Final = 2
_KINDS: Final = {"text": 0, "hidden": 1, "flag": 2, "link": 0}
_MATCHES: Final = {
    name: number
    for number, name in enumerate(["domain", "host", "starts_with", "exact", "regex", "never"])
}
_CARD: Final = {
    "cardholder": "cardholderName",
    "brand": "brand",
    "number": "number",
    "exp_month": "expMonth",
    "exp_year": "expYear",
    "code": "code",
}
_IDENTITY: Final = {
    "honorific": "title",
    "first_name": "firstName",
    "middle_name": "middleName",
    "last_name": "lastName",
    "address1": "address1",
    "address2": "address2",
    "address3": "address3",
    "city": "city",
    "state": "state",
    "postal_code": "postalCode",
    "country": "country",
    "company": "company",
    "email": "email",
    "phone": "phone",
    "ssn": "ssn",
    "username": "username",
    "passport_number": "passportNumber",
    "licence_number": "licenseNumber",
}
_SSH_KEY: Final = {
    "private_key": "privateKey",
    "public_key": "publicKey",
    "fingerprint": "keyFingerprint",
}
_PASSKEY: Final = {
    "credential_id": "credentialId",
    "key_type": "keyType",
    "key_algorithm": "keyAlgorithm",
    "key_curve": "keyCurve",
    "key_value": "keyValue",
    "rp_id": "rpId",
    "rp_name": "rpName",
    "user_handle": "userHandle",
    "user_name": "userName",
    "user_display_name": "userDisplayName",
    "counter": "counter",
    "discoverable": "discoverable",
    "created_at": "creationDate",
}
_PARTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "card": ("card", _CARD),
    "identity": ("identity", _IDENTITY),
    "ssh_key": ("sshKey", _SSH_KEY),
}
_TAKEN: Final = frozenset({"title", "folder", "favourite", "notes", "history", "archived"})
_LOGIN: Final = frozenset({"username", "urls", "url_match", "password", "totp", "passkeys"})


def document(contents: Contents) -> Document:
    """Write the plain export; values without a place in Bitwarden become custom fields."""
    folders: dict[str, str] = {}
    items = [_item(vault, item, folders) for vault, item in contents.items]
    whole = {
        "encrypted": False,
        "folders": [{"id": identity, "name": name} for name, identity in folders.items()],
        "items": items,
    }
    notices = ["Tags, expiry dates and environment sets become custom fields in Bitwarden."]
    return Document(json.dumps(whole, ensure_ascii=False, indent=2) + "\n", notices)


def _item(vault: str, item: Item, folders: dict[str, str]) -> dict[str, Any]:
    overview, detail = item.overview, item.detail or {}
    number = _TYPES.get(item.type, _NOTE)
    folder = text_in(overview, "folder") or vault
    folders.setdefault(folder, str(uuid5(NAMESPACE_URL, f"vaultr:folder:{folder}")))
    own, taken = _own_part(item)
    fields = [
        {
            "name": str(each.get("name", "")),
            "value": str(each.get("value", "")),
            "type": _KINDS.get(str(each.get("kind")), 1),
        }
        for each in custom_fields(item)
    ]
    fields += [
        {"name": each.name, "value": each.value, "type": int(each.hidden)}
        for each in remaining(item, _TAKEN | taken)
    ]
    history = detail.get("history")
    return {
        "type": number,
        "name": item.title,
        "favorite": overview.get("favourite") is True,
        "reprompt": 0,
        "id": str(item.id),
        "collectionIds": None,
        "folderId": folders[folder],
        "notes": text_in(detail, "notes") or None,
        "fields": fields,
        **own,
        "passwordHistory": [
            {"password": each.get("password"), "lastUsedDate": each.get("used_until")}
            for each in (history if isinstance(history, list) else [])
            if isinstance(each, dict)
        ],
        "creationDate": _time(item.created_at),
        "revisionDate": _time(item.updated_at),
        **({"archivedDate": _time(item.updated_at)} if overview.get("archived") is True else {}),
    }


def _own_part(item: Item) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the object for the item's type, and the names of the values in it."""
    values = {**item.overview, **(item.detail or {})}
    if item.type == "login":
        return {"login": _login(item)}, _LOGIN
    if item.type not in _PARTS:
        return {"secureNote": {"type": 0}}, frozenset()
    name, places = _PARTS[item.type]
    part = {theirs: values[ours] for ours, theirs in places.items() if values.get(ours)}
    return {name: part}, frozenset(places)


def _login(item: Item) -> dict[str, Any]:
    overview, detail = item.overview, item.detail or {}
    matches = overview.get("url_match")
    rules = matches if isinstance(matches, dict) else {}
    uris = [
        {"uri": url, **({"match": _MATCHES[rules[url]]} if rules.get(url) in _MATCHES else {})}
        for url in texts_in(overview, "urls")
    ]
    passkeys = detail.get("passkeys")
    return {
        "uris": uris,
        "fido2Credentials": [
            {theirs: each[ours] for ours, theirs in _PASSKEY.items() if ours in each}
            for each in (passkeys if isinstance(passkeys, list) else [])
            if isinstance(each, dict)
        ],
        "username": text_in(overview, "username") or None,
        "password": text_in(detail, "password") or None,
        "totp": text_in(detail, "totp") or None,
    }


def _time(moment: Any) -> str:
    return str(moment.isoformat(timespec="milliseconds")).replace("+00:00", "Z")
