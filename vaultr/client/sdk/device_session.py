"""How the SDK comes by an account's keys and lets go of them: signup to logout."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from vaultr.client.account import change_outcome
from vaultr.client.account import login as logins
from vaultr.client.account import unlock as unlocking
from vaultr.client.account.emergency_kit import Kit
from vaultr.client.account.open_account import Credentials, NotSignedIn
from vaultr.client.account.signup import Signup, signup
from vaultr.client.background.agent_client import AgentClient, agent_allowed
from vaultr.client.errors import (
    Locked,
    PinMismatch,
    Refused,
    ServerUnreachable,
    SessionEnded,
    Unauthenticated,
    UsageError,
    VaultrError,
)
from vaultr.client.sdk.item_operations import Unlocked
from vaultr.client.storage import freshness, last_lock
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.private_folder import home_folder
from vaultr.client.storage.store import Store
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.origin import origin_of
from vaultr.protocol.encoding import unb64_exactly

if TYPE_CHECKING:
    import httpx2


# For what a command still has to say to the server once the keys are forgotten.
_LAST_SECONDS: Final = 5.0
_GOES_ON: Final = (
    "The keys are forgotten here, but the session goes on: log out again later, or end it from"
    " another device: vaultr sessions revoke"
)


class Access:
    """One device's access to one account; see :class:`vaultr.client.vaultr_client.Vaultr`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Path | None = None,
        transport: "httpx2.BaseTransport | None" = None,
        ca_file: Path | None = None,
        agent: bool = True,
        offline: bool = False,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url
        self._carrier = transport
        self._ca_file = ca_file
        self._store = Store(home or home_folder())
        self._transport: Transport | None = None
        allowed = agent and agent_allowed()
        self._agent = AgentClient(self._store.folder.path, ca_file=ca_file) if allowed else None
        self._unlocked: Unlocked | None = None
        self._offline = offline
        self._waiting = waiting
        self._last_key: bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif isinstance(error, VaultrError) and not isinstance(error, ServerUnreachable):
            try:
                self.close()
            except VaultrError as after:
                if str(after) != str(error):
                    error.add_note(f"The profile could not be written either: {after}")
        else:
            self._drop()

    def close(self) -> None:
        """Forget the keys; write the profile first if a head moved.

        While the unlock process holds the keys the profile is written at most once a minute.
        """
        try:
            self._settle(now=self._agent is None or not self._agent.held())
        finally:
            self._drop()

    def _drop(self) -> None:
        self._unlocked = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def signup(self, email: str, password: str, *, secret_key: bool = True) -> Signup:
        """Make an account, which begins to exist when its mail is confirmed.

        :raises WeakPassword: the master password is too easy to guess.
        """
        return signup(self._store, self._to_server(), email, password, secret_key=secret_key)

    def verify(self, token: str) -> None:
        """Confirm the address of a signup by the token in its mail."""
        self._to_server().send("POST", "/auth/verify-email", {"token": token})

    def login(
        self,
        email: str,
        password: str,
        *,
        secret_key: bytes | None = None,
        kit: Kit | None = None,
        has_secret_key: bool = True,
        device_name: str | None = None,
        changed: bool = False,
        totp: str | None = None,
        recovery_code: str | None = None,
    ) -> None:
        """Sign in on this device, and unlock; the session that it had before ends.

        Other processes with this folder go on, with the new session.

        :param kit: what the emergency kit says, on a new device in place of the secret key.
        :param has_secret_key: False says that the account has none, on a device new to it.
        :param changed: take changed parameters once: the password was changed elsewhere.
        :raises SecretKeyNeeded: the device is new to the account; nothing was sent.
        :raises PinMismatch: the server asks for other inputs; the password was not used.
        """
        given = Credentials(
            email=email,
            password=password,
            secret_key=secret_key,
            kit=kit,
            has_secret_key=has_secret_key,
            device_name=device_name,
            changed=changed,
            totp=totp,
            recovery_code=recovery_code,
        )
        if kit is not None:
            self._go_to(kit)
        opened = logins.login(self._store, self._to_server(), given)
        self._unlocked = Unlocked(opened)
        with contextlib.suppress(ServerUnreachable, Refused):  # then the next command settles it
            change_outcome.settle(opened)
        if self._agent is not None and self._agent.held():
            self._agent.start(opened.account_key)

    def unlock(self, password: str, *, keep: bool = False) -> None:
        """Open the account with the master password; no network is needed.

        A device that signed up, and did not log in yet, does that instead.

        :param keep: hand the keys to the unlock process, which holds them for other commands.
        :raises WrongPassword: the password does not open it.
        """
        waiting = self._store.device().waiting
        if self._store.account() is None and waiting:
            self.login(waiting[-1].email, password)
            unlocked = self._opened()
        else:
            opened, told = unlocking.unlock(self._store, self._to_server(), password)
            unlocked = self._unlocked = Unlocked(opened)
            unlocked.notices.extend(told)
        if keep and not self.keep():
            notice = "No process keeps the keys: each command asks for the password."
            unlocked.notices.append(notice)

    @property
    def may_keep(self) -> bool:
        """Whether an unlock process may hold keys here; see ``VAULTR_AGENT``."""
        return self._agent is not None

    def keep(self) -> bool:
        """Hand the keys to the unlock process, which holds them for other commands.

        :return: whether it holds them now.
        """
        return self._agent is not None and self._agent.start(self._opened().account.account_key)

    @property
    def unlocked(self) -> bool:
        """Whether the keys are at hand, here or in the unlock process."""
        return self._resumed() is not None

    @property
    def email(self) -> str | None:
        """Whom this folder belongs to; None before signup and login."""
        device = self._store.device()
        return device.email or (device.waiting[-1].email if device.waiting else None)

    @property
    def age(self) -> timedelta | None:
        """How long ago the server last showed what this device holds; None if that is not known."""
        behind = self._unlocked is not None and self._unlocked.behind()
        return None if behind else freshness.age(self._store.folder)

    @property
    def notices(self) -> list[str]:
        """What the owner has to be told, and is no error."""
        return self._unlocked.notices if self._unlocked else []

    def lock(self) -> None:
        """Forget the keys everywhere, then write the profile if it lacks a head.

        :raises ServerUnreachable: the profile could not be written; the keys are forgotten.
        """
        self.forget_elsewhere()
        try:
            if (unlocked := self._resumed()) is not None:
                unlocked.settle(now=True)
        finally:
            self._forget()

    def forget_elsewhere(self) -> None:
        """End the unlock process; this object alone still has the key, for its last requests.

        A server that stays silent could otherwise keep the keys in memory. From now on each of
        the remaining steps takes at most 5 seconds.
        """
        if self._agent is not None and self._last_key is None:
            self._last_key = self._agent.account_key()
            self._agent.end()
        self._store.folder.hurry(2 * _LAST_SECONDS)
        last_lock.note(self._store.folder)
        self._hurry()

    def _hurry(self) -> None:
        if self._transport is not None or self._store.account() is not None:
            self._to_server().hurry(_LAST_SECONDS)

    def logout(self) -> None:
        """End this device's session; what the device holds and has pinned stays, sealed.

        :raises Locked: the tokens are sealed, and the keys are not at hand.
        """
        self.forget_elsewhere()
        session = self._opened().account.session
        try:
            with contextlib.suppress(SessionEnded, Unauthenticated):
                self._settle(now=True)
        finally:
            # Whatever is wrong with the profile, the session ends and the keys go.
            self._hurry()
            try:
                with self._store.folder.locked():  # a login meanwhile is before it, or after
                    with contextlib.suppress(SessionEnded, Unauthenticated):
                        session.send("POST", "/auth/logout", again=True)
                    session.forget()
            except ServerUnreachable as error:
                error.add_note(_GOES_ON)
                raise
            finally:
                self._forget()

    def _opened(self) -> Unlocked:
        unlocked = self._resumed()
        if unlocked is None and self._store.account() is None:
            raise NotSignedIn("This device belongs to no account yet: run vaultr login or signup.")
        if unlocked is None:
            raise Locked("This device is locked: unlock it with the master password.")
        return unlocked

    def _resumed(self) -> Unlocked | None:
        """Give the unlocked account, by the key of the unlock process if that is needed."""
        if self._unlocked is None and self._agent is not None:
            known = self._store.account()
            key = None if known is None else self._last_key or self._agent.account_key()
            if known is not None and key is not None:
                self._unlocked = self._by_key(known, key)
        return self._unlocked

    def _go_to(self, kit: Kit) -> None:
        """Talk to the kit's server; another one that was named gets nothing."""
        if self._url is not None and origin_of(self._url) != kit.pins.origin:
            raise PinMismatch(
                f"the emergency kit is for {kit.pins.origin}; nothing was sent to "
                f"{origin_of(self._url)}"
            )
        self._url = kit.pins.origin

    def _by_key(self, known: KnownAccount, key: bytes) -> Unlocked | None:
        opened = unlocking.by_key(self._store, self._to_server(), known, key)
        return None if opened is None else Unlocked(opened)

    def _to_server(self) -> Transport:
        if self._transport is None:
            pins = self._store.device().pins
            url = self._url or self._store.device().origin
            if url is None:
                raise UsageError("Name the server: --url https://vault.example, or VAULTR_URL.")
            if pins is not None and origin_of(url) != pins.origin:
                raise PinMismatch(
                    f"this folder belongs to {pins.origin}; nothing was sent to {origin_of(url)}. "
                    "Another server needs a folder of its own: VAULTR_DIR"
                )
            self._transport = Transport(
                url,
                transport=self._carrier,
                ca_file=self._ca_file,
                offline=self._offline,
                waiting=self._waiting,
            )
        return self._transport

    def _settle(self, *, now: bool) -> None:
        if self._unlocked is not None and self._unlocked.touched:
            self._unlocked.settle(now=now)

    def _forget(self) -> None:
        self._unlocked = self._last_key = None
        if self._agent is not None:
            self._agent.end()
        last_lock.note(self._store.folder)


def settle_idle(home: Path, account_key: str, ca_file: Path | None) -> None:
    """Write the profile if it lacks a head, for the unlock process that ends after idle time."""
    with Access(home=home, ca_file=ca_file, agent=False) as access:
        known = access._store.account()
        unlocked = None if known is None else access._by_key(known, unb64_exactly(account_key, 32))
        if unlocked is not None:
            unlocked.settle(now=True)
