"""Open cached items: overviews for lists, and a detail only when it is revealed."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import Keys, vk_of
from vaultr.client.crypto.seal import open_sealed
from vaultr.client.errors import SealBroken, VaultNotFound, VaultrError
from vaultr.client.log.entries import ItemState, short_head
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.memory_cache import VaultCache
from vaultr.client.vaults.name_matching import as_id, listed, meant, near, which
from vaultr.client.vaults.plaintext import object_in
from vaultr.client.vaults.sync import KeyOpener
from vaultr.client.vaults.write_intents import OpenVault
from vaultr.protocol.encoding import unb64

_NAME_CHARACTERS: Final = 200
ANY_STATE: Final[tuple[ItemState, ...]] = ("active", "trash")


class NameUnfit(VaultrError):
    """Another vault has this name, or no vault can have it."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One opened item. ``detail`` is None unless it was revealed.

    :ivar opens: False if another of the owner's clients wrote an overview that no key opens. Then
        it is empty here, and the item can be found only by its id.
    """

    id: UUID
    vault_id: UUID
    type: str
    revision: int
    content_revision: int
    state: ItemState
    created_at: datetime
    updated_at: datetime
    overview: dict[str, Any] = field(repr=False)
    detail: dict[str, Any] | None = field(default=None, repr=False)
    opens: bool = True

    @property
    def title(self) -> str:
        """The title, or an empty text."""
        title = self.overview.get("title")
        return title if isinstance(title, str) else ""


@dataclass(frozen=True, slots=True)
class VaultInfo:
    """One vault: its name, and the revision and head that this device has."""

    id: UUID
    name: str
    n: int
    head: str
    active: int
    trash: int
    role: str = "owner"


class NamedVault(Protocol):
    """A vault with a readable name."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name."""


def by_name(vault: NamedVault) -> tuple[str, UUID]:
    """Return the sort key for vaults: the name, then the random id."""
    return vault.name.casefold(), vault.id


class Reader:
    """Reads items of the cached vaults with the opened keys."""

    def __init__(
        self, cache: VaultCache, keyring: KeyOpener, deleted: Callable[[], Collection[UUID]]
    ) -> None:
        self._cache = cache
        self._keyring = keyring
        self._deleted = deleted

    def vaults(self) -> list[CachedVault]:
        """Return all cached vaults except those that the owner deleted."""
        hidden = self._deleted()
        ids = [vault_id for vault_id in self._cache.ids() if vault_id not in hidden]
        loaded = [self._cache.load(vault_id) for vault_id in ids]
        return [vault for vault in loaded if vault is not None]

    def info(self, vault: CachedVault) -> VaultInfo:
        """Open a vault's name, and count its items."""
        trash = sum(held.state == "trash" for held in vault.state.items.values())
        return VaultInfo(
            id=vault.id,
            name=self.vault_name(vault),
            n=vault.state.n,
            head=short_head(vault.state.head),
            active=len(vault.state.items) - trash,
            trash=trash,
        )

    def vault_name(self, vault: CachedVault) -> str:
        """Open a vault's name."""
        what = f"the name of vault {vault.id}"
        name = object_in(self.vault_overview(vault), what).get("name")
        return name if isinstance(name, str) else ""

    def vault_overview(self, vault: CachedVault) -> bytes:
        """Return a vault's opened overview, as the bytes that were sealed."""
        return overview_of(vault, self.keys(vault))

    def vault(self, ref: str | UUID | None) -> CachedVault:
        """Return the vault with an id or a unique name; None means the only vault.

        :raises VaultNotFound: no vault matches.
        :raises Ambiguous: several vaults match.
        """
        vaults = self.vaults()
        wanted = as_id(ref) if isinstance(ref, str) else ref
        if wanted is not None:
            found = [vault for vault in vaults if vault.id == wanted]
        elif isinstance(ref, str):
            found = meant(ref, ((self.vault_name(vault), vault) for vault in vaults))
        else:
            found = vaults
        if not found:
            raise VaultNotFound("vault-not-found", 404, self._no_vault(ref, vaults))
        if len(found) > 1:
            rows = [(str(vault.id), self.vault_name(vault)) for vault in found]
            raise which("Several vaults match", rows, advice="name one by its id or unique name")
        return found[0]

    def _no_vault(self, ref: str | UUID | None, vaults: Sequence[CachedVault]) -> str:
        if not vaults:
            return "This account has no vault. Create one: vaultr vaults add NAME"
        names = sorted(map(self.vault_name, vaults))
        similar = near(ref, names) if isinstance(ref, str) else ""
        return f"There is no such vault.{similar or f' Your vaults: {listed(names)}.'}"

    def check_name(self, name: str, *, of: UUID | None = None) -> None:
        """Check that ``name`` is a valid and unique name for a vault.

        :param of: the vault that gets the name, if it exists.
        :raises NameUnfit: another vault has the name, or it is empty, too long or looks like an id.
        """
        if not name.strip() or as_id(name) is not None or len(name) > _NAME_CHARACTERS:
            raise NameUnfit(
                f"A vault needs a name of 1 to {_NAME_CHARACTERS} characters that is not an id."
            )
        others = [vault for vault in self.vaults() if vault.id != of]
        if any(self.vault_name(vault) == name for vault in others):
            raise NameUnfit(f"Another vault already has the name {name}.")

    def items(
        self, vaults: Iterable[CachedVault], states: tuple[ItemState, ...], type: str | None = None
    ) -> Iterator[Item]:
        """Yield all items in one of ``states`` with opened overviews, even if some do not open."""
        for vault in vaults:
            keys = self.keys(vault)
            for item_id, held in vault.state.items.items():
                if held.state in states and type in (None, held.type):
                    yield self._item(vault, keys, item_id)

    def item(self, vault: CachedVault, item_id: UUID) -> Item:
        """Return one item of the vault, in any state, with its overview opened."""
        return self._item(vault, self.keys(vault), item_id)

    def with_detail(self, vault: CachedVault, item: Item) -> Item:
        """Return the item with its detail opened; raise SealBroken if a part does not open."""
        if not item.opens:
            raise SealBroken(
                f"Item {item.id} cannot be opened: it was encrypted with an unknown key, perhaps "
                "by another client."
            )
        return replace(item, detail=self.detail(vault, item.id))

    def known(
        self, vault: CachedVault, item_id: UUID, overview: dict[str, Any], detail: dict[str, Any]
    ) -> Item:
        """Return an item whose parts are already known, for example after a write."""
        return self._shown(vault, item_id, overview, detail)

    def detail(self, vault: CachedVault, item_id: UUID) -> dict[str, Any]:
        """Return an opened detail, which the cache has compared with the verified state."""
        held = vault.state.items[item_id]
        sealed = self._cache.detail(vault, item_id)
        bound = aad.item(
            vault.id, item_id, "detail", held.type, held.content_revision, held.generation
        )
        key = vk_of(self.keys(vault), held.generation, vault.id)
        what = f"the detail of item {item_id}"
        return object_in(open_sealed(key, bound, sealed, what), what)

    def open_vault(self, vault: CachedVault) -> OpenVault:
        """Return what is needed to seal and open items of a vault."""
        return OpenVault(
            vault, self.keys(vault), lambda item_id: self._cache.detail(vault, item_id)
        )

    def keys(self, vault: CachedVault) -> Keys:
        """Open the keys of a vault."""
        return self._keyring.open(vault.id, vault.wraps)

    def _item(self, vault: CachedVault, keys: Keys, item_id: UUID) -> Item:
        held, row = vault.state.items[item_id], vault.rows[item_id]
        bound = aad.item(
            vault.id, item_id, "overview", held.type, held.content_revision, held.generation
        )
        key, sealed = vk_of(keys, held.generation, vault.id), unb64(row.overview)
        what = f"the overview of item {item_id}"
        try:
            overview = object_in(open_sealed(key, bound, sealed, what), what)
        except SealBroken:
            # The log commits to it, so the server did not alter it: another client wrote it.
            return replace(self._shown(vault, item_id, {}, None), opens=False)
        return self._shown(vault, item_id, overview, None)

    def _shown(
        self,
        vault: CachedVault,
        item_id: UUID,
        overview: dict[str, Any],
        detail: dict[str, Any] | None,
    ) -> Item:
        held, row = vault.state.items[item_id], vault.rows[item_id]
        return Item(
            id=item_id,
            vault_id=vault.id,
            type=held.type,
            revision=held.revision,
            content_revision=held.content_revision,
            state=held.state,
            created_at=datetime.fromisoformat(row.created_at),
            updated_at=datetime.fromisoformat(row.updated_at),
            overview=overview,
            detail=detail,
        )


def overview_of(vault: CachedVault, keys: Keys) -> bytes:
    """Return a vault's overview, opened with ``keys``, as the bytes that were sealed."""
    made = vault.state.overview
    bound = aad.vault_overview(vault.id, made.revision, made.generation)
    key = vk_of(keys, made.generation, vault.id)
    return open_sealed(key, bound, vault.overview, f"the name of vault {vault.id}")
