"""Check one vault of an archive, record by record, against its log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import Keys, lk_of, vk_of
from vaultr.client.crypto.seal import open_sealed
from vaultr.client.errors import ChainBroken, RolledBack, StateMismatch
from vaultr.client.exports.archive_lines import ArchiveInvalid, Record, RecordInvalid
from vaultr.client.log.chain import LoggedItem, Replay, check_vouch, follow
from vaultr.client.log.entries import SignedEntry, Waypoint
from vaultr.client.log.pages import check_wraps, read_entry, read_overview, read_row, read_wraps
from vaultr.client.log.state import FIRST_GENERATION, Held, Overview, VaultState, total_of
from vaultr.client.storage.profile import Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.client.vaults.plaintext import object_in
from vaultr.client.vaults.sync import VaultKeyring
from vaultr.protocol.encoding import unb64
from vaultr.protocol.entries import HASH_BYTES, Op, first_head, item_content


@dataclass(frozen=True, slots=True)
class ArchivedVault:
    """A verified vault of an archive.

    :ivar contents: the hash of each content, by item and by the revision of the put.
    """

    vault_id: UUID
    keys: Keys = field(repr=False)
    overview: Overview
    contents: Mapping[tuple[UUID, int], bytes] = field(repr=False)

    def name(self, vault: Json) -> str:
        """Open the vault's name."""
        made, what = self.overview, f"the name of vault {self.vault_id}"
        bound = aad.vault_overview(self.vault_id, made.revision, made.generation)
        key = vk_of(self.keys, made.generation, self.vault_id)
        name = object_in(open_sealed(key, bound, unb64(vault["overview"]), what), what).get("name")
        return name if isinstance(name, str) else ""


class VaultCheck:
    """Takes the records of one vault in order, and stores only hashes."""

    def __init__(
        self,
        vault_id: UUID,
        claimed: Waypoint,
        overview: Overview,
        keys: Keys,
        known: Waypoint | None,
        value: Json,
    ) -> None:
        self.vault_id = vault_id
        self._claimed = claimed
        self._overview = overview
        self._keys = keys
        self._value = value
        self._known = known if known is not None and known.n > 0 else None
        self._here = Waypoint(0, first_head(vault_id), FIRST_GENERATION)
        self._items: dict[UUID, Held] = {}
        self._versions: dict[tuple[UUID, int], bytes] = {}
        self._confirmed: set[tuple[UUID, int]] = set()
        self._last: SignedEntry | None = None
        # Until a rename, the log does not contain the overview; the sum covers it at the end.
        first = VaultState(vault_id, 0, self._here.head, FIRST_GENERATION, overview, 0, {})
        self._replay = Replay(first)

    @classmethod
    def begin(cls, value: Json, keyring: VaultKeyring, profile: Profile) -> "VaultCheck":
        """Begin with the record of the vault itself.

        :raises IntegrityError: keys are missing or cannot be opened, or the vault is older than the
            profile.
        """
        fields = Fields(value, "vault", RecordInvalid)
        vault_id, generation = fields.uuid("id"), fields.count("generation", least=1)
        wraps = read_wraps(fields, vault_id)
        check_wraps(wraps, generation, vault_id)
        head = fields.binary("head", HASH_BYTES)
        claimed = Waypoint(fields.count("revision"), head, generation)
        known = profile.head_of(vault_id)
        if known is not None and claimed.n < known.n:
            raise RolledBack(
                f"It has an older state of vault {vault_id} than your devices have seen: {claimed} "
                f"instead of {known}.",
                vault_id=vault_id,
            )
        keys = keyring.open(vault_id, wraps)
        return cls(vault_id, claimed, read_overview(fields), keys, known, value)

    def take(self, record: Record) -> None:
        """Take an item, a version or an entry.

        :raises IntegrityError: it is malformed, duplicated, or does not continue the log.
        """
        fields = Fields(record.value, record.kind, RecordInvalid)
        if record.kind == "item":
            item_id, row = read_row(fields)
            if item_id in self._items:
                raise ArchiveInvalid(f"The archive has item {item_id} twice.")
            fields.time("created_at")
            fields.time("updated_at")
            self._items[item_id] = row.held
        elif record.kind == "version":
            self._take_version(fields)
        else:
            self._take_entry(read_entry(self.vault_id, fields))

    def _take_version(self, fields: Fields) -> None:
        place = fields.uuid("item_id"), fields.count("revision", least=1)
        sealed = fields.binary("overview"), fields.binary("detail")
        if place in self._versions:
            raise ArchiveInvalid(f"The archive has a version of item {place[0]} twice.")
        generation = fields.count("generation", least=1)
        self._versions[place] = item_content(fields.text("type"), generation, *sealed)

    def _take_entry(self, signed: SignedEntry) -> None:
        landmarks = [] if self._known is None else [self._known]
        self._here = follow(self._here, [signed], self._keys, landmarks)
        entry = signed.entry
        self._replay.take(entry)
        if entry.op is Op.PUT and entry.item_id is not None:
            place = entry.item_id, entry.n
            if self._versions.get(place, entry.content) != entry.content:
                raise StateMismatch(f"Version {entry.n} of item {entry.item_id} was altered.")
            if place in self._versions:
                self._confirmed.add(place)
        self._last = signed

    def finished(self) -> ArchivedVault:
        """Check the vault as a whole, after its last entry.

        :raises IntegrityError: the items are not exactly those of the log.
        """
        if self._here != self._claimed:
            raise ChainBroken(
                f"The log of vault {self.vault_id} is incomplete or altered: it leads to "
                f"{self._here}, not to {self._claimed}."
            )
        logged = {
            item_id: item
            for item_id, item in self._replay.touched.items()
            if item.state is not None
        }
        if {each: LoggedItem.of(held) for each, held in self._items.items()} != logged:
            raise StateMismatch(f"The items of vault {self.vault_id} are not those of its log.")
        if self._replay.overview != self._overview:
            raise StateMismatch(f"The name of vault {self.vault_id} is not the one in its log.")
        if self._versions.keys() != self._confirmed:
            raise StateMismatch(f"Vault {self.vault_id} has a version that is not in its log.")
        if self._last is not None:
            lk = lk_of(self._keys, self._claimed.generation, self.vault_id)
            total = total_of(lk, self._items, self._overview)
            check_vouch(self._last, total, self._keys, held=None)
        vault = ArchivedVault(self.vault_id, self._keys, self._overview, self._contents())
        if self._last is None:
            vault.name(self._value)  # the log does not cover it, so it must be possible to open it
        return vault

    def _contents(self) -> dict[tuple[UUID, int], bytes]:
        contents = dict(self._versions)
        for item_id, held in self._items.items():
            contents[item_id, held.content_revision] = held.content
        return contents
