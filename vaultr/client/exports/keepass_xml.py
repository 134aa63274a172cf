"""Write items as the XML that KeePass and KeePassXC import."""

import base64
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5
from xml.sax.saxutils import escape  # nosec B406 - only writes

from vaultr.client.exports.documents import Contents, Document
from vaultr.client.exports.formats import NotExpressible
from vaultr.client.exports.item_fields import custom_fields, remaining, text_in, texts_in
from vaultr.client.vaultr_client import Item

# XML 1.0, production 2: characters that no document can contain.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_GROUPS: Final = UUID("7b0c9d36-0f3f-4e5e-9d3b-5d1f5a7f7c11")
_TAKEN: Final = frozenset(
    {"title", "username", "password", "urls", "notes", "totp", "folder", "tags", "expires_on"}
)
_PERIOD_SECONDS: Final = 30


class _Group:
    """One folder with its content."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self.groups: dict[str, _Group] = {}
        self.items: list[Item] = []

    def within(self, folder: str) -> "_Group":
        group = self
        for name in filter(None, folder.split("/")):
            group = group.groups.setdefault(name, _Group(name, f"{group.path}/{name}"))
        return group


def document(contents: Contents) -> Document:
    """Write the document; a vault and its folders become groups.

    :raises NotExpressible: an item has a control character, which XML cannot express; the message
        names the item.
    """
    top = _Group("Vaultr", "")
    for vault, item in contents.items:
        top.within(vault.replace("/", "-")).within(text_in(item.overview, "folder")).items.append(
            item
        )
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="yes"?>', "<KeePassFile>"]
    lines += ["<Meta><Generator>Vaultr</Generator></Meta>", "<Root>", *_group(top)]
    lines += ["<DeletedObjects/>", "</Root>", "</KeePassFile>"]
    notices = ["Password history and passkeys become custom fields in KeePass."]
    return Document("\n".join(lines) + "\n", notices)


def _group(group: _Group) -> Iterator[str]:
    yield f"<Group><UUID>{_uuid(uuid5(_GROUPS, group.path))}</UUID>{_element('Name', group.name)}"
    for item in group.items:
        yield from _entry(item)
    for inner in group.groups.values():
        yield from _group(inner)
    yield "</Group>"


def _entry(item: Item) -> Iterator[str]:
    yield f"<Entry><UUID>{_uuid(item.id)}</UUID>"
    if tags := texts_in(item.overview, "tags"):
        yield _element("Tags", ";".join(tags), item)
    expires = text_in(item.overview, "expires_on")
    yield f"<Times>{_time('CreationTime', item.created_at)}"
    yield _time("LastModificationTime", item.updated_at)
    yield f"<Expires>{bool(expires)}</Expires>"
    yield f"<ExpiryTime>{expires}T00:00:00Z</ExpiryTime></Times>" if expires else "</Times>"
    for name, value, hidden in _strings(item):
        mark = ' ProtectInMemory="True"' if hidden else ""
        text = _safe(value, item)
        yield f"<String>{_element('Key', name, item)}<Value{mark}>{text}</Value></String>"
    yield "</Entry>"


def _strings(item: Item) -> Iterator[tuple[str, str, bool]]:
    detail, urls = item.detail, texts_in(item.overview, "urls")
    yield "Title", item.title, False
    yield "UserName", text_in(item.overview, "username"), False
    yield "Password", text_in(detail, "password"), True
    yield "URL", urls[0] if urls else "", False
    yield "Notes", text_in(detail, "notes"), False
    if totp := text_in(detail, "totp"):
        yield "otp", _otpauth(totp), True
    used = {"Title", "UserName", "Password", "URL", "Notes", "otp"}
    extra = [(f"KP2A_URL_{number}", url, False) for number, url in enumerate(urls[1:], start=1)]
    for each in custom_fields(item):
        name, value = str(each.get("name", "")), str(each.get("value", ""))
        extra.append((name, value, each.get("kind") == "hidden"))
    extra += list(remaining(item, _TAKEN))
    for name, value, hidden in extra:
        # In KeePass, names are unique within an entry, and not empty.
        single, number = name or "field", 2
        while single in used:
            single, number = f"{name or 'field'} {number}", number + 1
        used.add(single)
        yield single, value, hidden


def _otpauth(totp: str) -> str:
    if totp.startswith("otpauth://"):
        return totp
    secret = "".join(totp.split()).rstrip("=")
    return f"otpauth://totp/Vaultr?secret={secret}&period={_PERIOD_SECONDS}&digits=6"


def _element(name: str, text: str, item: Item | None = None) -> str:
    return f"<{name}>{_safe(text, item)}</{name}>"


def _safe(text: str, item: Item | None) -> str:
    if _FORBIDDEN.search(text):
        where = f'the item "{item.title[:60]}" ({item.id})' if item else "a vault or folder name"
        raise NotExpressible(
            f"KeePass XML cannot express {where}: it has a control character."
            " Remove it, or export as json."
        )
    # XML parsers convert a bare carriage return to a newline.
    return escape(text, {"\r": "&#13;"})


def _time(name: str, moment: datetime) -> str:
    return f"<{name}>{moment.strftime('%Y-%m-%dT%H:%M:%SZ')}</{name}>"


def _uuid(identity: UUID) -> str:
    return base64.b64encode(identity.bytes).decode()
