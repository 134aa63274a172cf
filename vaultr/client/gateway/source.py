"""The items that the gateway serves, from sealed copies that it keeps up to date.

Plaintext is kept in memory only until the response is sent.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from vaultr.client.errors import (
    ItemNotFound,
    RateLimited,
    SealBroken,
    ServerUnreachable,
    Unavailable,
    VaultrError,
)
from vaultr.client.gateway.title_index import TitleIndex
from vaultr.client.items.fields import text_of
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.sdk.machine_session import MachineSession
from vaultr.client.vaults.item_search import Finder
from vaultr.client.vaults.machine_vaults import MachineKeyring
from vaultr.client.vaults.name_matching import as_id
from vaultr.client.vaults.reader import Item, Reader

# If a sync began at most this long before a request, it proves that an item is gone.
_JUST_NOW_SECONDS: Final = 1.0
_AWAY: Final = (ServerUnreachable, Unavailable, RateLimited)


T = TypeVar("T")


class InDoubt(VaultrError):
    """The data is too old, or not confirmed by the server."""


@dataclass(frozen=True, slots=True)
class _LastSync:
    """The last verified sync: its start and end; ``problem`` says why nothing may be served."""

    began: float | None = None
    at: float | None = None
    problem: str | None = None


class Source:
    """Reads items from the copies of one machine.

    :param max_age_seconds: maximum age of the copies.
    :param notify: called with a message when the state of the copies changes.
    """

    def __init__(
        self,
        session: MachineSession,
        *,
        max_age_seconds: float,
        notify: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._max_age_seconds = max_age_seconds
        self.notify = notify
        self._clock = clock
        self._last = _LastSync()
        self._is_away = False
        self._syncing = threading.Lock()
        self._tried: float | None = None
        opened = session.require_unlocked()
        self._vaults = opened.vaults
        # Not the keyring of the syncs, which run in another thread.
        keyring = MachineKeyring(session.token)
        self._reader: Reader = self._vaults.reader_with(keyring)
        self._titles = TitleIndex(self._reader)

    @property
    def age_seconds(self) -> float | None:
        """The time since the last verified sync; None before the first."""
        at = self._last.at
        return None if at is None else max(0.0, self._clock() - at)

    @property
    def expires_at(self) -> datetime | None:
        """When the machine's token expires; None before the first sync."""
        return self._vaults.expires_at

    def sync(self, *, list_again: bool = False) -> None:
        """Update the copies, and store the time, or why they may not be served.

        While the server is unreachable, the copies may be served until they are too old.
        """
        with self._syncing:
            self._sync(list_again=list_again)

    def _sync_since(self, asked: float) -> None:
        """Update the copies, unless another thread has tried to since ``asked``."""
        with self._syncing:
            if self._tried is None or self._tried < asked:
                self._sync(list_again=False)

    def _sync(self, *, list_again: bool) -> None:
        self._tried = began = self._clock()
        last = self._last
        try:
            self._session.require_unlocked().refresh(list_again=list_again)
        except _AWAY as error:
            if not self._is_away:
                self._is_away = True
                self.notify(f"The server is unreachable: {error}")
            return
        except (VaultrError, OSError) as error:  # such as a full disk
            self._last = _LastSync(last.began, last.at, str(error) or type(error).__name__)
            if self._last.problem != last.problem:
                self.notify(f"Nothing is served until a sync succeeds: {error}")
            return
        self._last = _LastSync(began, self._clock())
        if last.problem is not None or self._is_away:
            self._is_away = False
            self.notify("The copies are up to date again.")

    def check(self) -> None:
        """Check that the copies may be served.

        :raises InDoubt: they are too old, or the last sync failed verification or was rejected.
        """
        age, problem = self.age_seconds, self._last.problem
        if problem is not None:
            raise InDoubt("the server rejected this machine, or a check of its response failed")
        if age is None or age > self._max_age_seconds:
            raise InDoubt("the copies are too old, and the server is unreachable")

    def value(self, reference: Reference) -> str:
        """Return one value.

        :raises InDoubt: the copies may not be served.
        :raises ItemNotFound: a verified sync just now shows that the item is gone.
        """
        return self._read(lambda: Resolver(self._find).value(reference))

    def values(self, reference: Reference) -> dict[str, str]:
        """Return all values of an item: the variables of a set, or the fields with text.

        :raises InDoubt, ItemNotFound: as :meth:`value`.
        """
        return self._read(lambda: values_of(self._find(reference.vault, reference.item)))

    def _read(self, read: Callable[[], T]) -> T:
        self.check()
        asked = self._clock()
        try:
            return read()
        except (ItemNotFound, SealBroken):
            # It may be newer than the copies, or a sync may have just replaced them.
            if not self._is_confirmed(asked):
                self._sync_since(asked)
        self.check()
        if not self._is_confirmed(asked):
            raise InDoubt("the item is not in the copies, and the server is unreachable")
        return read()

    def _is_confirmed(self, asked: float) -> bool:
        """Check whether a verified sync shows the server's state at the time of a request."""
        began = self._last.began
        return began is not None and began >= asked - _JUST_NOW_SECONDS

    def _find(self, vault: str, ref: str) -> Item:
        home = self._reader.vault(vault)
        found = [] if as_id(ref) is not None else self._titles.find(home, ref)
        if len(found) == 1:
            return self._reader.with_detail(home, found[0])
        home, item = Finder(self._reader).find(ref, [home], ("active",))
        return self._reader.with_detail(home, item)


def values_of(item: Item) -> dict[str, str]:
    """Return the values of an item, by the names that ``show --field`` accepts."""
    detail = item.detail or {}
    variables = detail.get("variables")
    if item.type == "env_set" and isinstance(variables, dict):
        return {str(name): text_of(value) for name, value in variables.items()}
    texts = {name: each for name, each in detail.items() if isinstance(each, str)}
    username = item.overview.get("username")
    if isinstance(username, str):
        texts.setdefault("username", username)
    fields = detail.get("fields")
    for each in fields if isinstance(fields, list) else []:
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            texts.setdefault(each["name"], text_of(each.get("value", "")))
    return texts
