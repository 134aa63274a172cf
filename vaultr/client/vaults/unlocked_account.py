"""An unlocked account: its keys in memory, and the profile that the owner's devices share."""

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
    VaultrError,
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
    "Somebody started to recover this account with its recovery key. "
    "If it was not you, run: vaultr recover --cancel"
)


@dataclass(slots=True)
class UnlockedAccount:
    """The account while it is unlocked.

    :ivar profile: the last profile accepted from the server, or written to it.
    :ivar notices: messages for the owner that are not errors.
    """

    store: Store
    session: Session
    account_id: UUID
    account_key: bytes = field(repr=False)
    known: KnownAccount = field(repr=False)
    profile: Profile = field(repr=False)
    keyring: VaultKeyring = field(repr=False)
    notices: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls, store: Store, session: Session, known: KnownAccount, account_key: bytes
    ) -> "UnlockedAccount":
        """Open the account as this device last saw it.

        :raises SealBroken: ``account_key`` belongs to a different account.
        :raises PinMismatch: the account belongs to a different server than ``session`` sends to.
        """
        account_id = known.derivation.account_id
        wrap = wrap_key(account_key)
        stored = known.key_set.profile
        profile = open_profile(wrap, account_id, stored.revision, stored.sealed)
        # The folder names the server, and is signed with a key in the same folder. Anyone who can
        # write there could otherwise redirect the session's tokens to another server.
        if profile.pins.origin != session.origin:
            raise PinMismatch(
                f"This account belongs to {profile.pins.origin}. Nothing was sent to "
                f"{session.origin}."
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
        """The key that seals the account's other keys."""
        return wrap_key(self.account_key)

    def refresh_profile(self) -> Profile:
        """Read the server's profile, and accept it only as a successor of the last one.

        :raises IntegrityError: it is older, incomplete, or belongs to another account.
        """
        shown = self.shown_profile()  # also adopts what other commands of this device saw
        accepted = accept_profile(self.profile, shown)
        if accepted.sealed != self.profile.sealed:
            self._keep(accepted, written_at=self.known.profile_written_at)
        return accepted

    def shown_profile(self) -> Profile:
        """Return the server's profile without checking that it follows the last one.

        :raises IntegrityError: the account or its pins differ.
        """
        answer = self.session.send("GET", "/auth/me")
        account_id, key_set = key_set_of(answer)
        self.catch_up()
        self._check_key_set(account_id, key_set)
        if (answer.body or {}).get("recovery") is not None and _RECOVERY not in self.notices:
            self.notices.append(_RECOVERY)
        sealed = key_set.profile
        shown = open_profile(self.wrap_key, self.account_id, sealed.revision, sealed.sealed)
        shown.pins.check_same(self.profile.pins)
        return shown

    def replace_profile(self, shown: Profile, wanted: Profile) -> None:
        """Replace ``shown``, an older profile that the owner accepted, by ``wanted``.

        :raises PreconditionFailed: the server now has a different one; nothing was changed.
        """
        sealed = seal_profile(self.wrap_key, self.account_id, wanted, shown.revision + 1)
        self._put(sealed, over=shown.revision, give_up=True)

    def catch_up(self) -> None:
        """Adopt what other commands of this device have stored since this one began.

        :raises Locked: that command replaced the account key.
        """
        known = self.store.account()
        if known is None or known.key_set == self.known.key_set:
            return
        seen = _seen_profile(known, self.wrap_key)
        self.known, self.profile = known, accept_profile(self.profile, seen)

    def _check_key_set(self, account_id: UUID, key_set: KeySet) -> None:
        ours = self.known.key_set
        if account_id != self.account_id:
            raise PinMismatch(f"The server shows account {account_id}, yours is {self.account_id}.")
        if key_set.epoch < ours.epoch:
            raise RolledBack(
                f"The server shows an older account key: number {key_set.epoch}, this device has "
                f"seen number {ours.epoch}. The account key encrypts the keys of all vaults."
            )
        if key_set.epoch > ours.epoch:
            # That change ended all other sessions: an honest server would have rejected this
            # request.
            raise PinMismatch(
                f"The server shows a newer account key (number {key_set.epoch}, this device has "
                f"number {ours.epoch}), but this device is still logged in, although a change of "
                "the password would have ended its session. "
                "If you changed the password on another device, run: vaultr login --changed"
            )
        if key_set.account_key != ours.account_key:
            raise AnswerInvalid("the account key has changed, but its number has not")
        if key_set.identity != ours.identity:
            raise AnswerInvalid("the identity keys of your account have changed")

    def is_behind(self, heads: Mapping[UUID, Waypoint]) -> bool:
        """Check whether the profile lacks one of ``heads``."""
        lacks = self._with(self.profile, heads).document != self.profile.document
        return lacks or self.must_supersede()

    def must_supersede(self) -> bool:
        """Check whether the server could later show a profile that was sent but not stored.

        It is signed, so another device would accept it, until the server has stored a profile of
        the same or a later revision.
        """
        return self.profile.revision < self.store.rejected_profile()

    def written_just_now(self) -> bool:
        """Check whether this device wrote the profile within the last minute."""
        return 0 <= time.time() - self.known.profile_written_at < WRITES_APART_SECONDS

    def write_heads(self, heads: Mapping[UUID, Waypoint], prove: Callable[[], object]) -> None:
        """Write the profile with ``heads``, unless it has all of them.

        :param prove: see :meth:`write_profile`.
        :raises PreconditionFailed: other devices kept writing the profile.
        """
        wanted = self._with(self.profile, heads)
        if wanted.document != self.profile.document or self.must_supersede():
            self.write_profile(wanted, prove)

    def write_profile(self, wanted: Profile, prove: Callable[[], object]) -> None:
        """Write ``wanted``, merged with what other devices have written in the meantime.

        :param prove: called if another device has written the profile. It raises an error unless
            this device's heads and those in that profile are on one chain; a higher n alone proves
            nothing.
        """
        for left in range(_TRIES - 1, -1, -1):
            sealed = seal_profile(self.wrap_key, self.account_id, wanted, self.profile.revision + 1)
            if self._put(sealed, over=self.profile.revision, give_up=not left):
                return
            # An honest 412 means a later revision, perhaps our own whose response was lost.
            before = self.profile
            shown = self.refresh_profile()
            if shown.sealed == sealed.sealed:
                return
            if shown.revision == before.revision:
                raise AnswerInvalid(
                    f"The server rejected a profile that follows revision {before.revision}, "
                    "although it shows that revision as the newest. The profile is the record that "
                    "your devices share of what they have seen."
                )
            prove()
            wanted = merge_profiles(wanted, shown)
            if wanted.document == shown.document:
                return

    def _put(self, sealed: Profile, *, over: int, give_up: bool) -> bool:
        body = SealedProfile(sealed.revision, sealed.sealed).to_json()
        match = {"If-Match": f'"{over}"'}
        rejected = max(sealed.revision, self.store.rejected_profile())
        try:
            answer = self.session.send("PUT", "/auth/profile", body, headers=match, again=True)
        except PreconditionFailed:
            if give_up:
                raise
            return False
        except VaultrError:
            self.store.keep_rejected_profile(rejected)
            raise
        if fields_of(answer, "profile").count("revision") != sealed.revision:
            raise AnswerInvalid(
                "The server stored your account's profile under another revision than was sent."
            )
        self._keep(sealed, written_at=time.time())
        if 0 < self.store.rejected_profile() <= sealed.revision:
            self.store.forget_rejected_profile()
        return True

    def _keep(self, profile: Profile, *, written_at: float) -> None:
        stored = SealedProfile(profile.revision, profile.sealed)
        key_set = replace(self.known.key_set, profile=stored)
        known = replace(
            self.known,
            key_set=key_set,
            heads=profile.document["vaults"],
            profile_written_at=written_at,
        )
        self.store.keep_account(known)
        self.known, self.profile = known, profile

    def with_heads(self, heads: Mapping[UUID, Waypoint]) -> Profile:
        """Return the profile with ``heads`` added, without writing it."""
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
        """Return the ids of the vaults that the owner deleted."""
        return {each for each, place in self.profile.vaults.items() if isinstance(place, Deleted)}


def _check_key(store: Store, wrap: bytes) -> None:
    """Check that the stored account still opens with this key.

    :raises Locked: another command of this device replaced the account key.
    """
    known = store.account()
    if known is not None:
        _seen_profile(known, wrap)


def _seen_profile(known: KnownAccount, wrap: bytes) -> Profile:
    stored = known.key_set.profile
    try:
        return open_profile(wrap, known.derivation.account_id, stored.revision, stored.sealed)
    except SealBroken:
        raise key_replaced() from None
