"""Read a 1Password archive (1PUX) as drafts of items."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from vaultr.client.imports.archives import Archive
from vaultr.client.imports.entry import LOGIN_KEY, TRASH, Entry, time_of
from vaultr.client.imports.file_format import ZIP, check_whole, json_object
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.json_objects import Object, Objects, rest
from vaultr.client.imports.problems import Problem, reject
from vaultr.client.imports.reading import ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import Draft

_AGAIN: Final = "Export again from 1Password: File, Export, 1PUX."
# Source: 1Password's support page "1PUX format": numbers of the item categories.
_CATEGORIES: Final = {
    "001": ("Login", "login"),
    "002": ("Credit Card", "card"),
    "003": ("Secure Note", "note"),
    "004": ("Identity", "identity"),
    "005": ("Password", "login"),
    "006": ("Document", "note"),
    "100": ("Software License", "note"),
    "101": ("Bank Account", "note"),
    "102": ("Database", "login"),
    "103": ("Driver License", "note"),
    "104": ("Outdoor License", "note"),
    "105": ("Membership", "note"),
    "106": ("Passport", "note"),
    "107": ("Rewards", "note"),
    "108": ("Social Security Number", "note"),
    "109": ("Wireless Router", "login"),
    "110": ("Server", "login"),
    "111": ("Email Account", "login"),
    "112": ("API Credential", "api_key"),
    "113": ("Medical Record", "note"),
    "114": ("SSH Key", "ssh_key"),
    "115": ("Crypto Wallet", "note"),
}
# Ids of fields in sections that have their own place here.
_PLACES: Final[dict[str, dict[str, str]]] = {
    "login": {"username": "overview.username", "password": LOGIN_KEY},
    "card": {
        "cardholder": "detail.cardholder",
        "type": "overview.brand",
        "ccnum": "detail.number",
        "cvv": "detail.code",
    },
    "identity": {
        "firstname": "detail.first_name",
        "initial": "detail.middle_name",
        "lastname": "detail.last_name",
        "company": "detail.company",
        "defphone": "detail.phone",
        "email": "detail.email",
        "username": "overview.username",
    },
    "api_key": {"username": "overview.username", "credential": "detail.key"},
    "note": {},
    "ssh_key": {},
}
_ADDRESS: Final = {
    "street": "detail.address1",
    "city": "detail.city",
    "state": "detail.state",
    "zip": "detail.postal_code",
    "country": "detail.country",
}
_HIDDEN: Final = frozenset({"concealed", "totp", "creditCardNumber", "sshKey"})
_MODES: Final = {"default": "domain", "host": "host", "never": "never"}
_HUNDRED: Final = 100
_NOTHING: Final[tuple[object, ...]] = (None, "", {})
# The members of an overview that have a place here, and those that 1Password computes.
_KNOWN: Final = frozenset(
    {"title", "tags", "urls", "url"}
    | {"subtitle", "ps", "pbe", "pgrng", "icons", "watchtowerExclusions"}
)


def read_file(file: ImportFile) -> Reading:
    """Read a whole archive, or only its ``export.data``.

    :raises ImportProblems: lists every invalid entry.
    """
    check_whole(file.data)
    data = file.data
    if data.startswith(ZIP):
        archive = Archive(data)
        if "export.data" not in archive.names:
            reject(f"This zip archive is not a 1PUX file: it has no export.data. {_AGAIN}")
        data = archive.read("export.data")
    document = json_object(data, _AGAIN)
    accounts = document.get("accounts")
    if not isinstance(accounts, list):
        reject(f"This JSON is not an export of 1Password, which has 'accounts'. {_AGAIN}")
    report, drafts, outer = Report(), [], list[str]()
    problems: list[Problem] = []
    for number, (item, vault) in enumerate(_items(accounts, outer), start=1):
        take = Objects(item)
        draft = _draft(take, vault, report)
        faults = take.faults()
        problems += [Problem(f"entry {number}", fault) for fault in faults]
        if draft is not None and not faults:
            drafts.append(draft)
    problems += [Problem("", fault) for fault in outer]
    return checked(drafts, report, problems)


def _items(accounts: list[Any], faults: list[str]) -> Iterator[tuple[object, str | None]]:
    for account in accounts:
        for vault in Members(account, "account", faults).all_within("vaults"):
            name = vault.within("attrs").text("name") if "attrs" in vault else None
            for item in vault.values("items"):
                # Early versions wrapped every item in another object.
                yield item["item"] if isinstance(item, dict) and "item" in item else item, name


def _draft(take: Objects, vault: str | None, report: Report) -> Draft | None:
    item = take.root
    overview, details = take.object(item, "overview"), take.object(item, "details")
    category = take.text(item, "categoryUuid") or ""
    kind, ours = _CATEGORIES.get(category) or _unknown(category)
    entry = Entry(report, kind, ours)
    entry.put("title", "overview.title", take.text(overview, "title"))
    state = take.text(item, "state")
    if state == "trashed" or take.flag(item, "trashed"):
        entry.drop(TRASH)
        return None
    entry.put("vault", "overview.folder", vault)
    entry.put("tags", "overview.tags", take.texts(overview, "tags"))
    entry.put("favIndex", "overview.favourite", bool(take.number(item, "favIndex")))
    entry.put("state", "overview.archived", state == "archived")
    _urls(entry, take, overview)
    _details(entry, take, details)
    entry.source["more"] = rest(overview, _KNOWN)
    return entry.draft(
        "1password",
        id=take.text(item, "uuid"),
        created_at=time_of(take.number(item, "createdAt")),
        updated_at=time_of(take.number(item, "updatedAt")),
    )


def _unknown(category: str) -> tuple[str, str]:
    return f"category {category[:20] or 'without number'}", "note"


def _urls(entry: Entry, take: Objects, overview: Object) -> None:
    for each in take.objects(overview, "urls"):
        mode = take.text(each, "mode")
        match = _MODES.get(mode) if mode not in (None, "default") else None
        entry.url("url", take.text(each, "url"), match)
    entry.url("url", take.text(overview, "url"))


def _details(entry: Entry, take: Objects, details: Object) -> None:
    for each in take.objects(details, "loginFields"):
        _login_field(entry, take, each)
    entry.note("notesPlain", take.text(details, "notesPlain"))
    password = take.text(details, "password")
    if entry.type == "login":
        entry.put("password", LOGIN_KEY, password)
    else:
        entry.field("password", password, hidden=True)
    for section in take.objects(details, "sections"):
        title = take.text(section, "title")
        for field in take.objects(section, "fields"):
            _field(entry, take, field, title)
    for past in take.objects(details, "passwordHistory"):
        entry.past(take.text(past, "value"), time_of(take.number(past, "time")))
    if details.get("documentAttributes") is not None:
        document = take.object(details, "documentAttributes")
        entry.attachment(take.text(document, "fileName") or "document")
    if details.get("passkey") is not None:
        entry.leave_out("passkey", "1Password exports it without its private key")


def _login_field(entry: Entry, take: Objects, field: Object) -> None:
    name = take.text(field, "name") or take.text(field, "id") or "field"
    value = take.text_or_flag(field, "value")
    designation = take.text(field, "designation")
    if designation in ("username", "password") and entry.type == "login":
        entry.put(name, _PLACES["login"][designation], value)
    elif value:
        entry.field(name, value, hidden=take.text(field, "fieldType") == "P")


def _field(entry: Entry, take: Objects, field: Object, section: str | None) -> None:
    title = take.text(field, "title")
    label = title or take.text(field, "id") or "field"
    name = f"{section}: {label}" if section else label
    values = take.object_or_empty(field, "value")
    kind, value = next(iter(values.items()), ("string", None))
    if not value and value in _NOTHING:
        return
    # An id that serves as label names no place.
    place = _PLACES[entry.type].get(take.text(field, "id") or "") if title else None
    special = _SPECIAL.get(kind)
    if special is not None:
        special(entry, name, value)
    elif place is not None and isinstance(value, str):
        entry.put(name, place, value)
    elif place == "detail.email" and isinstance(value, dict):
        entry.put(name, place, value.get("email_address"))
    else:
        entry.field(name, _plain(kind, value), hidden=kind in _HIDDEN)


def _plain(kind: str, value: Any) -> str:
    if kind == "date":
        return (time_of(value) or str(value))[:10]
    if kind == "monthYear" and isinstance(value, int):
        return f"{value // _HUNDRED:04}-{value % _HUNDRED:02}"
    if isinstance(value, dict):
        return ", ".join(str(each) for each in value.values() if each)
    return str(value)


def _totp(entry: Entry, name: str, value: Any) -> None:
    if entry.type == "login":
        entry.put(name, "detail.totp", value)
    else:
        entry.field(name, value, hidden=True)


def _file(entry: Entry, name: str, value: Any) -> None:
    entry.attachment(str(value.get("fileName", name)) if isinstance(value, dict) else name)


def _address(entry: Entry, name: str, value: Any) -> None:
    if entry.type != "identity" or not isinstance(value, dict):
        entry.field(name, _plain("address", value))
        return
    for theirs, place in _ADDRESS.items():
        entry.put(f"{name} {theirs}", place, value.get(theirs))


def _expiry(entry: Entry, name: str, value: Any) -> None:
    is_expiry = name.rpartition(": ")[2] in ("expiry", "expiry date")
    if entry.type != "card" or not isinstance(value, int) or not is_expiry:
        entry.field(name, _plain("monthYear", value))
        return
    entry.put(name, "detail.exp_month", str(value % _HUNDRED))
    entry.put(name, "detail.exp_year", str(value // _HUNDRED))


def _ssh_key(entry: Entry, name: str, value: Any) -> None:
    known = value if isinstance(value, dict) else {}
    metadata = known.get("metadata")
    about = metadata if isinstance(metadata, dict) else {}
    private = known.get("privateKey") or about.get("privateKey")
    if entry.type != "ssh_key":
        entry.field(name, private, hidden=True)
        return
    entry.put(name, "detail.private_key", private)
    entry.put("public key", "overview.public_key", about.get("publicKey"))
    entry.put("fingerprint", "overview.fingerprint", about.get("fingerprint"))


def _reference(entry: Entry, name: str, value: Any) -> None:
    entry.field(name, value, kind="link")


_SPECIAL: Final[dict[str, Callable[[Entry, str, Any], None]]] = {
    "totp": _totp,
    "file": _file,
    "address": _address,
    "monthYear": _expiry,
    "sshKey": _ssh_key,
    "reference": _reference,
}
