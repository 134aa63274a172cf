"""An account that is unlocked: its keys in memory, and its profile as the devices share it."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final
from uuid import UUID

from vaultr.client.crypto.keys import wrap_key
from vaultr.client.errors import (
    AnswerInvalid,
    PinMismatch,
    PreconditionFailed,
    RolledBack,
    SealBroken,
)
from vaultr.client.log.entries import Waypoint
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.key_set import KeySet, SealedProfile
from vaultr.client.storage.profile import (
    Deleted,
    Profile,
    accept_profile,
    merge_profiles,
    open_profile,
    seal_profile,
)
from vaultr.client.storage.store import Store
from vaultr.client.transport.account_session import Session, key_replaced
from vaultr.client.transport.responses import fields_of, key_set_of
from vaultr.client.vaults.sync import VaultKeyring

WRITES_APART_SECONDS: Final = 60.0
_TRIES: Final = 5
_RECOVERY: Final = (
    "Somebody recovers this account by its recovery key. "
    "If that is not you: vaultr recover --cancel"
)


@dataclass(slots=True)
class OpenedAccount:
    """The account while it is unlocked.

    :ivar profile: the last profile that was accepted from the server, or written to it.
    :ivar told: what the owner has to be told, and is no error.
    """

    store: Store
    session: Session
    account_id: UUID
    account_key: bytes = field(repr=False)
    known: KnownAccount = field(repr=False)
    profile: Profile = field(repr=False)
    keyring: VaultKeyring = field(repr=False)
    told: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls, store: Store, session: Session, known: KnownAccount, account_key: bytes
    ) -> "OpenedAccount":
        """Open the account as this device last saw it.

        :raises SealBroken: ``account_key`` is another's.
        :raises PinMismatch: the account is of another server than ``session`` sends to.
        """
        account_id = known.derivation.account_id
        wrap = wrap_key(account_key)
        kept = known.key_set.profile
        profile = open_profile(wrap, account_id, kept.revision, kept.sealed)
        # What the folder says of the server is signed by a key that lies beside it: whoever may
        # write there could have the session's tokens sent elsewhere.
        if profile.pins.origin != session.origin:
            raise PinMismatch(
                f"the account is of {profile.pins.origin}; nothing was sent to {session.origin}"
            )
        return cls(
            store=store,
            session=session,
            account_id=account_id,
            account_key=account_key,
            known=known,
            profile=profile,
            keyring=VaultKeyring(wrap, account_id, check=partial(_check_key, store, wrap)),
        )

    @property
    def wrap_key(self) -> bytes:
        """The key under which the account keeps its other keys."""
        return wrap_key(self.account_key)

    def refresh_profile(self) -> Profile:
        """Read the profile from the server, and accept it only as a successor of the last one.

        :raises IntegrityError: it went back, lost something, or the account is another.
        """
        shown = self.shown_profile()  # which takes over what other commands saw meanwhile
        accepted = accept_profile(self.profile, shown)
        if accepted.sealed != self.profile.sealed:
            self._keep(accepted, written_at=self.known.profile_written_at)
        return accepted

    def shown_profile(self) -> Profile:
        """Read the profile from the server; whether it follows the last one is not judged.

        :raises IntegrityError: the account, or what pins it, is another.
        """
        answer = self.session.send("GET", "/auth/me")
        account_id, key_set = key_set_of(answer)
        self.catch_up()
        self._check_key_set(account_id, key_set)
        if (answer.body or {}).get("recovery") is not None and _RECOVERY not in self.told:
            self.told.append(_RECOVERY)
        kept = key_set.profile
        shown = open_profile(self.wrap_key, self.account_id, kept.revision, kept.sealed)
        shown.pins.check_same(self.profile.pins)
        return shown

    def replace_profile(self, shown: Profile, wanted: Profile) -> None:
        """Write ``wanted`` over ``shown``, which the owner accepts by hand though it went back.

        :raises PreconditionFailed: the server has another one by now; nothing was changed.
        """
        sealed = seal_profile(self.wrap_key, self.account_id, wanted, shown.revision + 1)
        self._put(sealed, over=shown.revision, give_up=True)

    def catch_up(self) -> None:
        """Take over what another command of this device has seen since this one began.

        :raises Locked: it replaced the account's key.
        """
        known = self.store.account()
        if known is None or known.key_set == self.known.key_set:
            return
        seen = _seen_profile(known, self.wrap_key)
        self.known, self.profile = known, accept_profile(self.profile, seen)

    def _check_key_set(self, account_id: UUID, key_set: KeySet) -> None:
        ours = self.known.key_set
        if account_id != self.account_id:
            raise PinMismatch(f"the server shows account {account_id}, ours is {self.account_id}")
        if key_set.epoch < ours.epoch:
            raise RolledBack(
                f"the account key went back: seen before is epoch {ours.epoch}, "
                f"the server shows {key_set.epoch}"
            )
        if key_set.epoch > ours.epoch:
            # The change that made it ended every other session, so that this one cannot be alive.
            raise PinMismatch(
                f"the account key was replaced (epoch {key_set.epoch}, ours is {ours.epoch}), and "
                "yet this session goes on. If it was done on another device: vaultr login --changed"
            )
        if key_set.account_key != ours.account_key:
            raise AnswerInvalid("the server shows another account key of the same epoch")
        if key_set.identity != ours.identity:
            raise AnswerInvalid("the server shows other identity keys than before")

    def is_behind(self, heads: Mapping[UUID, Waypoint]) -> bool:
        """Tell whether the profile lacks one of ``heads``."""
        return self._with(self.profile, heads).document != self.profile.document

    def written_just_now(self) -> bool:
        """Tell whether this device wrote the profile within the last minute."""
        return 0 <= time.time() - self.known.profile_written_at < WRITES_APART_SECONDS

    def write_heads(self, heads: Mapping[UUID, Waypoint], prove: Callable[[], object]) -> None:
        """Write the profile with ``heads`` in it, if it lacks one of them.

        :param prove: as :meth:`write_profile` calls it.
        :raises PreconditionFailed: other devices wrote it again and again in between.
        """
        wanted = self._with(self.profile, heads)
        if wanted.document != self.profile.document:
            self.write_profile(wanted, prove)

    def write_profile(self, wanted: Profile, prove: Callable[[], object]) -> None:
        """Write ``wanted``, merged with what other devices wrote meanwhile.

        :param prove: raises, when the profile is another's by now, unless the heads that this
            device holds and those in it are on one chain: a higher n alone proves nothing.
        """
        for left in range(_TRIES - 1, -1, -1):
            sealed = seal_profile(self.wrap_key, self.account_id, wanted, self.profile.revision + 1)
            if self._put(sealed, over=self.profile.revision, give_up=not left):
                return
            # An honest refusal shows a later revision; it may be ours, whose answer was lost.
            before = self.profile
            shown = self.refresh_profile()
            if shown.sealed == sealed.sealed:
                return
            if shown.revision == before.revision:
                raise AnswerInvalid(
                    f"the server refuses a profile over revision {before.revision}, which it shows"
                )
            prove()
            wanted = merge_profiles(wanted, shown)
            if wanted.document == shown.document:
                return

    def _put(self, sealed: Profile, *, over: int, give_up: bool) -> bool:
        body = SealedProfile(sealed.revision, sealed.sealed).to_json()
        match = {"If-Match": f'"{over}"'}
        try:
            answer = self.session.send("PUT", "/auth/profile", body, headers=match, again=True)
        except PreconditionFailed:
            if give_up:
                raise
            return False
        if fields_of(answer, "profile").count("revision") != sealed.revision:
            raise AnswerInvalid("the server took the profile as another revision")
        self._keep(sealed, written_at=time.time())
        return True

    def _keep(self, profile: Profile, *, written_at: float) -> None:
        kept = SealedProfile(profile.revision, profile.sealed)
        key_set = replace(self.known.key_set, profile=kept)
        known = replace(
            self.known,
            key_set=key_set,
            heads=profile.document["vaults"],
            profile_written_at=written_at,
        )
        self.store.keep_account(known)
        self.known, self.profile = known, profile

    def with_heads(self, heads: Mapping[UUID, Waypoint]) -> Profile:
        """Give the profile with those of ``heads`` in it that it lacks; nothing is written."""
        return self._with(self.profile, heads)

    def _with(self, profile: Profile, heads: Mapping[UUID, Waypoint]) -> Profile:
        noted = profile.vaults
        for vault_id, waypoint in heads.items():
            known = noted.get(vault_id)
            if isinstance(known, Deleted) or (known is not None and known.n >= waypoint.n):
                continue
            profile = profile.with_head(vault_id, waypoint)
        return profile

    def deleted(self) -> Collection[UUID]:
        """Give the vaults that the owner deleted."""
        return {each for each, place in self.profile.vaults.items() if isinstance(place, Deleted)}


def _check_key(store: Store, wrap: bytes) -> None:
    """Check that this device still keeps what opens with this key.

    :raises Locked: another command of this device replaced the account's key.
    """
    known = store.account()
    if known is not None:
        _seen_profile(known, wrap)


def _seen_profile(known: KnownAccount, wrap: bytes) -> Profile:
    kept = known.key_set.profile
    try:
        return open_profile(wrap, known.derivation.account_id, kept.revision, kept.sealed)
    except SealBroken:
        raise key_replaced() from None
