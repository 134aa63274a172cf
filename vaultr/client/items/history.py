"""The versions of an item, each verified against the vault's log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import vk_of
from vaultr.client.crypto.seal import open_sealed
from vaultr.client.errors import AnswerInvalid, NotFound, StateMismatch, VaultrError
from vaultr.client.log.chain import check_mac
from vaultr.client.log.pages import read_entry
from vaultr.client.storage.cache import CachedVault
from vaultr.client.strict_json import Fields, Json
from vaultr.client.transport.sender import RequestSender
from vaultr.client.vaults.holder import SyncedVaults
from vaultr.client.vaults.log_prefix_proof import read_log_excerpt
from vaultr.client.vaults.plaintext import object_in
from vaultr.client.vaults.reader import Item, Reader
from vaultr.client.vaults.vault_list import ask_pages
from vaultr.client.vaults.write_intents import OpenVault
from vaultr.protocol.entries import Op, item_content

_WHERE: Final = "version"
T = TypeVar("T")


class NoSuchVersion(VaultrError):
    """The item has no version with this revision, or the server no longer keeps it."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an item; ``detail`` is None unless the version was opened.

    :ivar revision: the revision of the put that wrote it.
    :ivar is_current: whether it is the item's current content.
    :ivar parts: overview and detail as the bytes that were sealed; empty in lists.
    """

    item_id: UUID
    vault_id: UUID
    revision: int
    type: str
    created_at: datetime
    is_current: bool
    overview: dict[str, Any] = field(repr=False)
    detail: dict[str, Any] | None = field(default=None, repr=False)
    parts: tuple[bytes, bytes] = field(default=(b"", b""), repr=False)

    @property
    def title(self) -> str:
        """The title of this version."""
        title = self.overview.get("title")
        return title if isinstance(title, str) else ""

    def as_item(self) -> Item:
        """Return it as an item."""
        return Item(
            id=self.item_id,
            vault_id=self.vault_id,
            type=self.type,
            revision=self.revision,
            content_revision=self.revision,
            state="active",
            created_at=self.created_at,
            updated_at=self.created_at,
            overview=self.overview,
            detail=self.detail,
        )


class History:
    """Reads versions from the server, and verifies each."""

    def __init__(self, session: RequestSender, vaults: SyncedVaults) -> None:
        self._session = session
        self._vaults = vaults
        self._reader: Reader = vaults.reader

    def versions(self, vault: CachedVault, item_id: UUID) -> list[Version]:
        """List the versions on the server, newest first, without details.

        :raises IntegrityError: one does not match its entry, or is duplicated.
        """
        return self._with_newest(vault, lambda newest: self._list(newest, item_id))

    def version(self, vault: CachedVault, item_id: UUID, revision: int) -> Version:
        """Open one version.

        :raises NoSuchVersion: the server does not have this revision.
        :raises IntegrityError: it does not match its entry.
        """
        return self._with_newest(vault, lambda newest: self._one(newest, item_id, revision))

    def as_of(self, vault: CachedVault, item_id: UUID, revision: int) -> Version | None:
        """Open the version that was current at a revision of the vault.

        :return: None if the server does not have it, or withholds it.
        """
        kept = (each.revision for each in self.versions(vault, item_id))
        newest = max((n for n in kept if n <= revision), default=None)
        if newest is None:
            return None
        if newest < revision:
            # The server may withhold a newer version that was current then.
            past = read_log_excerpt(self._vaults.syncer, vault, newest)
            if past.has_put(item_id, after=newest, through=revision):
                return None
        try:
            return self.version(vault, item_id, newest)
        except NoSuchVersion:
            return None

    def _with_newest(self, vault: CachedVault, read: Callable[[CachedVault], T]) -> T:
        """Read versions; if the server has a newer version, sync and read again."""
        try:
            return read(vault)
        except _Newer:
            return read(self._vaults.sync_one(vault.id))

    def _list(self, vault: CachedVault, item_id: UUID) -> list[Version]:
        ground, path = self._reader.open_vault(vault), _path(vault, item_id)
        found: dict[int, Version] = {}
        heads: dict[int, bytes] = {}
        for json in ask_pages(self._session, path, "versions"):
            fields = Fields(json, _WHERE, AnswerInvalid)
            version, head = _verified(ground, item_id, fields, whole=False)
            if version.revision in found:
                raise AnswerInvalid(f"it has version {version.revision} of item {item_id} twice")
            found[version.revision], heads[version.revision] = version, head
        if not any(version.is_current for version in found.values()):
            raise _mismatch(vault, f"The server withholds the current version of item {item_id}")
        self._check_logged(vault, item_id, heads)
        return [found[revision] for revision in sorted(found, reverse=True)]

    def _one(self, vault: CachedVault, item_id: UUID, revision: int) -> Version:
        try:
            answer = self._session.send("GET", f"{_path(vault, item_id)}/{revision}")
        except NotFound:
            held = vault.state.items[item_id]
            if held.content_revision == revision:
                raise _mismatch(
                    vault, f"The server withholds the current version of item {item_id}"
                ) from None
            raise NoSuchVersion(
                f"The server no longer has version {revision} of item {item_id}."
            ) from None
        fields = Fields(answer.body, _WHERE, AnswerInvalid)
        if fields.count("revision") != revision:
            raise AnswerInvalid(f"it shows another version than {revision}")
        version, head = _verified(self._reader.open_vault(vault), item_id, fields, whole=True)
        self._check_logged(vault, item_id, {revision: head})
        return version

    def _check_logged(self, vault: CachedVault, item_id: UUID, heads: Mapping[int, bytes]) -> None:
        """Check that versions are in the log; an entry alone proves nothing.

        A put that the server rejected also has a signed entry.

        :param heads: the head after each version's entry.
        """
        current = vault.state.items[item_id].content_revision  # verified with the whole set
        older = {n: head for n, head in heads.items() if n != current}
        known: Mapping[int, bytes] = vault.trail
        if unknown := older.keys() - known.keys():
            known = {**read_log_excerpt(self._vaults.syncer, vault, min(unknown)).heads, **known}
        for n, head in older.items():
            if known[n] != head:
                raise _mismatch(
                    vault, f"Version {n} of item {item_id} was not written by one of your devices"
                )


class _Newer(StateMismatch):
    """A version is newer than this device's copy: edited after the last sync, or forged."""


def _path(vault: CachedVault, item_id: UUID) -> str:
    return f"/vaults/{vault.id}/items/{item_id}/versions"


def _verified(
    ground: OpenVault, item_id: UUID, fields: Fields, *, whole: bool
) -> tuple[Version, bytes]:
    """Check one version against its entry and this device's copy, then open it.

    :return: the version, and the head after its entry.
    """
    revision, kind = fields.count("revision", least=1), fields.text("type", most=32)
    generation = fields.count("generation", least=1)
    head = _check_entry(ground, item_id, fields.within("entry").raw(), (revision, generation))
    held = ground.state.items[item_id]
    if revision > held.content_revision:
        raise _Newer(
            f"The server shows version {revision} of item {item_id}, but this device has version "
            f"{held.content_revision} as its newest.",
            vault_id=ground.state.vault_id,
        )
    if whole:
        _check_content(ground, item_id, fields)
    overview = _opened(ground, item_id, fields, "overview")
    detail = _opened(ground, item_id, fields, "detail") if whole else b""
    version = Version(
        item_id=item_id,
        vault_id=ground.state.vault_id,
        revision=revision,
        type=kind,
        created_at=fields.time("created_at"),
        is_current=revision == held.content_revision,
        overview=object_in(overview, f"version {revision} of item {item_id}"),
        detail=object_in(detail, f"version {revision} of item {item_id}") if whole else None,
        parts=(overview, detail) if whole else (b"", b""),
    )
    return version, head


def _check_entry(ground: OpenVault, item_id: UUID, json: Json, expected: tuple[int, int]) -> bytes:
    """Check that the entry is a put of this item and revision, by one of the owner's devices.

    :return: the head after it; this does not prove that the entry is in the log.
    """
    vault_id = ground.state.vault_id
    signed = read_entry(vault_id, Fields(json, "version.entry", AnswerInvalid))
    check_mac(signed, ground.keys)
    entry = signed.entry
    is_put = entry.op is Op.PUT and entry.item_id == item_id and entry.n == entry.content_revision
    if not is_put or (entry.n, entry.generation) != expected:
        raise _mismatch(
            ground.vault,
            f"Version {expected[0]} of item {item_id} does not match the log of changes",
        )
    held = ground.state.items[item_id]
    if entry.n == held.content_revision and entry.content != held.content:
        raise _mismatch(
            ground.vault, f"Version {expected[0]} of item {item_id} differs from this device's copy"
        )
    return signed.head


def _check_content(ground: OpenVault, item_id: UUID, fields: Fields) -> None:
    content = item_content(
        fields.text("type"),
        fields.count("generation"),
        fields.binary("overview"),
        fields.binary("detail"),
    )
    signed = fields.within("entry").binary("content")
    if content != signed:
        revision = fields.count("revision")
        what = f"The content of version {revision} of item {item_id} was altered"
        raise _mismatch(ground.vault, what)


def _opened(ground: OpenVault, item_id: UUID, fields: Fields, part: aad.Part) -> bytes:
    revision, generation = fields.count("revision"), fields.count("generation")
    state = ground.state
    bound = aad.item(state.vault_id, item_id, part, fields.text("type"), revision, generation)
    key = vk_of(ground.keys, generation, state.vault_id)
    return open_sealed(key, bound, fields.binary(part), f"version {revision} of item {item_id}")


def _mismatch(vault: CachedVault, what: str) -> StateMismatch:
    return StateMismatch(f"{what} (this device has {vault.waypoint}).", vault_id=vault.id)
