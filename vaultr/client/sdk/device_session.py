"""One device's access to one account: sign up, log in, unlock, lock, log out."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from vaultr.client.account import change_outcome, unlock
from vaultr.client.account.credentials import Credentials, NotSignedIn
from vaultr.client.account.emergency_kit import Kit
from vaultr.client.account.login import login
from vaultr.client.account.signup import Signup, signup
from vaultr.client.background.agent_client import AgentClient, agent_allowed
from vaultr.client.background.lifetime import Lifetime
from vaultr.client.errors import (
    IntegrityError,
    Locked,
    PinMismatch,
    Refused,
    ServerUnreachable,
    SessionEnded,
    Unauthenticated,
    UsageError,
    VaultrError,
)
from vaultr.client.sdk.unlocked_vaults import UnlockedVaults
from vaultr.client.storage import freshness, last_lock
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.private_folder import FolderUnusable, home_folder
from vaultr.client.storage.store import Store
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.origin import origin_of
from vaultr.protocol import kdf

if TYPE_CHECKING:
    import httpx2


# Time limits, after the keys were forgotten, for writing the profile and for ending the session.
_LAST_SECONDS: Final = 5.0
LOW_KDF: Final = (
    "The settings of this account make guessing its master password easier than today's default."
    " To change the settings without a new password: vaultr passwd --kdf-only"
)
_SESSION_STILL_ALIVE: Final = (
    "The keys are no longer in memory, but the session is still alive: log out again later, or end "
    "it from another device: vaultr sessions revoke"
)


class DeviceSession:
    """A device that may have an account's keys in memory.

    :ivar store: the files of this device.
    :ivar agent: the client of the agent; None if no agent may hold keys.
    :ivar unlocked: the vaults while the keys are in this process's memory.
    """

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
        self._http_transport = transport
        self._ca_file = ca_file
        self.store = Store(home or home_folder())
        self._transport: Transport | None = None
        allowed = agent and agent_allowed()
        self.agent = AgentClient(self.store.folder.path) if allowed else None
        self.unlocked: UnlockedVaults | None = None
        self._offline = offline
        self._waiting = waiting
        self._last_key: bytes | None = None

    def exit(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session at the end of a ``with`` block, with or without an exception."""
        if isinstance(error, IntegrityError):
            self._name_vault(error)
        if error is None:
            self.close()
        elif isinstance(error, VaultrError) and not isinstance(error, ServerUnreachable):
            try:
                self.close()
            except VaultrError as after:
                both_ended = isinstance(error, SessionEnded) and isinstance(after, SessionEnded)
                if str(after) != str(error) and not both_ended:
                    error.add_note(
                        "Nor could this device store the newest state that it has seen on the "
                        f"server: {after}"
                    )
        else:
            self.drop()

    def _name_vault(self, error: IntegrityError) -> None:
        """Add this device's name of the vault to an error, whose message has only its id."""
        if self.unlocked is None or error.vault_id is None:
            return
        reader = self.unlocked.reader
        # Without a copy there is no name, and a damaged copy must not hide the error.
        with contextlib.suppress(VaultrError):
            held = next((each for each in reader.vaults() if each.id == error.vault_id), None)
            if held is not None:
                error.add_note(f"On this device, this vault is named {reader.vault_name(held)}.")

    def close(self) -> None:
        """Forget the keys; before that, write the profile if a head has changed.

        While the agent holds the keys, the profile is written at most once a minute.
        """
        try:
            self.write_profile(now=self.agent is None or not self.agent.is_holding_key())
        finally:
            self.drop()

    def drop(self) -> None:
        """Forget the keys and close the connection without sending anything."""
        self.unlocked = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def signup(self, email: str, password: str, *, secret_key: bool = True) -> Signup:
        """Create an account, which can be used once its email address is confirmed.

        :raises WeakPassword: the master password is too easy to guess.
        """
        return signup(self.store, self.server(), email, password, secret_key=secret_key)

    def verify(self, token: str) -> None:
        """Confirm the email address of a signup with the token from the email."""
        self.server().send("POST", "/auth/verify-email", {"token": token})

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
        """Log in on this device and unlock it; its previous session ends.

        Other processes that use this folder continue with the new session.

        :param kit: the emergency kit; on a new device, instead of the secret key.
        :param has_secret_key: False on a new device if the account has no secret key.
        :param changed: accept other KDF parameters once, because the password was changed
            elsewhere.
        :raises SecretKeyNeeded: this device is new to the account; nothing was sent.
        :raises PinMismatch: the server sent other KDF parameters; the password was not used.
        """
        credentials = Credentials(
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
            self._use_server_of(kit)
        opened = login(self.store, self.server(), credentials)
        self.unlocked = UnlockedVaults(opened)
        with contextlib.suppress(ServerUnreachable, Refused):  # the next command tries again
            change_outcome.settle(opened)
        self.replace_key_in_agent()

    def unlock(
        self, password: str, *, keep: bool = False, lifetime: Lifetime | None = None
    ) -> None:
        """Open the account with the master password; no network is needed.

        A device that has signed up but not logged in yet logs in now.

        :param keep: pass the keys to the agent, which holds them for other commands.
        :param lifetime: how long the agent holds them; by default until it is idle for 15 minutes.
        :raises WrongPassword: the password does not open the account.
        """
        waiting = self.store.device().waiting
        if self.store.account() is None and waiting:
            self.login(waiting[-1].email, password)
            unlocked = self.require_unlocked()
        else:
            opened, notices = unlock.unlock(self.store, self.server(), password)
            unlocked = self.unlocked = UnlockedVaults(opened)
            unlocked.notices.extend(notices)
        if keep and kdf.is_below_recommended(unlocked.account.known.derivation.kdf):
            unlocked.notices.append(LOW_KDF)
        if keep and not self.keep(lifetime):
            unlocked.notices.append(
                "No agent holds the keys: each command asks for the master password."
            )

    def keep(self, lifetime: Lifetime | None = None) -> bool:
        """Pass the keys to the agent, which holds them for other commands.

        :param lifetime: how long; by default until it is idle for 15 minutes or the terminal is
            closed.
        :return: whether the agent holds them now.
        """
        key = self.require_unlocked().account.account_key
        return self.agent is not None and self.agent.start(key, lifetime, ca_file=self.ca_file)

    def replace_key_in_agent(self) -> None:
        """Replace the key in a running agent by the current one, with the same time limit."""
        if self.agent is not None:
            key = self.require_unlocked().account.account_key
            self.agent.replace_key(key, ca_file=self.ca_file)

    @property
    def ca_file(self) -> Path | None:
        """The CA file passed now or most recently; None for the system's authorities."""
        if self._ca_file is not None:
            return self._ca_file
        stored = self.store.device().ca_file
        return None if stored is None else Path(stored)

    def remember_ca_file(self) -> None:
        """Store the CA file that was passed, if the server has responded."""
        responded = self._transport is not None and self._transport.date is not None
        if self._ca_file is None or not responded or self.store.device().origin is None:
            return
        path = str(self._ca_file.absolute())
        with contextlib.suppress(FolderUnusable), self.store.folder.locked():
            device = self.store.device()
            if device.ca_file != path:
                self.store.keep_device(replace(device, ca_file=path))

    @property
    def email(self) -> str | None:
        """The email address of the account; None before signup and login."""
        device = self.store.device()
        return device.email or (device.waiting[-1].email if device.waiting else None)

    @property
    def age(self) -> timedelta | None:
        """The time since the last sync; None if unknown."""
        outdated = self.unlocked is not None and self.unlocked.outdated_copies()
        return None if outdated else freshness.age(self.store.folder)

    def lock(self) -> None:
        """Forget the keys in the agent, write the profile if it is due, and forget the keys here.

        :raises ServerUnreachable, DiskFull: the profile could not be written; the keys are
            forgotten.
        """
        self.forget_elsewhere()
        try:
            if (unlocked := self.find_unlocked()) is not None:
                unlocked.write_profile(now=True)
        except VaultrError as error:
            error.add_note("The keys are forgotten: this device is locked.")
            raise
        finally:
            self.forget_keys()

    def forget_elsewhere(self) -> None:
        """End the agent; only this object still has the key, for its last requests.

        Otherwise an unresponsive server could keep the keys in memory. The remaining requests take
        at most 10 seconds: half for the profile, and half for ending the session.
        """
        if self.agent is not None and self._last_key is None:
            self._last_key = self.agent.account_key()
            self.agent.end()
        self.hurry()
        self.store.folder.hurry(2 * _LAST_SECONDS)
        last_lock.note(self.store.folder)

    def hurry(self) -> None:
        """Limit all requests from now on to 5 seconds."""
        if self._transport is not None or self.store.account() is not None:
            self.server().hurry(_LAST_SECONDS)

    def logout(self) -> None:
        """End this device's session; keep its sealed copy of the vaults and its pins.

        :raises Locked: the session's tokens are sealed, and the keys are not in memory.
        """
        self.forget_elsewhere()
        session = self.require_unlocked().account.session
        try:
            with contextlib.suppress(SessionEnded, Unauthenticated):
                self.write_profile(now=True)
        finally:
            # Even if the profile cannot be written, the session ends and the keys are forgotten.
            self.hurry()
            try:
                # a parallel login runs either before or after this
                with self.store.folder.locked():
                    with contextlib.suppress(SessionEnded, Unauthenticated):
                        session.send("POST", "/auth/logout", again=True)
                    session.forget()
            except ServerUnreachable as error:
                error.add_note(_SESSION_STILL_ALIVE)
                raise
            finally:
                self.forget_keys()

    def require_unlocked(self) -> UnlockedVaults:
        """Return the unlocked vaults, with the agent's key if needed.

        :raises NotSignedIn: this device belongs to no account.
        :raises Locked: the keys are neither in this process nor in the agent.
        """
        unlocked = self.find_unlocked()
        if unlocked is None and self.store.account() is None:
            raise NotSignedIn(
                "This device belongs to no account yet: run vaultr login or vaultr signup."
            )
        if unlocked is None:
            raise Locked("This device is locked: unlock it with the master password.")
        return unlocked

    def find_unlocked(self) -> UnlockedVaults | None:
        """Return the unlocked vaults, with the agent's key if needed; None if locked."""
        if self.unlocked is None and self.agent is not None:
            known = self.store.account()
            key = None if known is None else self._last_key or self.agent.account_key()
            if known is not None and key is not None:
                self.unlocked = self.open_with_key(known, key)
        return self.unlocked

    def open_with_key(self, known: KnownAccount, key: bytes) -> UnlockedVaults | None:
        """Open the account with its account key; return None if the key is for another account."""
        opened = unlock.open_with_key(self.store, self.server(), known, key)
        return None if opened is None else UnlockedVaults(opened)

    def server(self) -> Transport:
        """Return the connection to the server, without sending anything.

        :raises UsageError: no server was passed or stored on this device.
        :raises PinMismatch: this device belongs to a server other than the one passed.
        """
        if self._transport is None:
            pins = self.store.device().pins
            url = self._url or self.store.device().origin
            if url is None:
                raise UsageError("No server is set: use --url https://vault.example or VAULTR_URL.")
            if pins is not None and origin_of(url) != pins.origin:
                raise PinMismatch(
                    f"This device belongs to {pins.origin}. Nothing was sent to {origin_of(url)}. "
                    "For another server use another folder: VAULTR_DIR"
                )
            self._transport = Transport(
                url,
                transport=self._http_transport,
                ca_file=self.ca_file,
                offline=self._offline,
                waiting=self._waiting,
            )
        return self._transport

    def _use_server_of(self, kit: Kit) -> None:
        if self._url is not None and origin_of(self._url) != kit.pins.origin:
            raise PinMismatch(
                f"The emergency kit is for {kit.pins.origin}. Nothing was sent to "
                f"{origin_of(self._url)}."
            )
        self._url = kit.pins.origin

    def write_profile(self, *, now: bool) -> None:
        """Write the profile if heads may have changed; see :meth:`UnlockedVaults.write_profile`."""
        if self.unlocked is not None and self.unlocked.profile_is_due:
            self.unlocked.write_profile(now=now)

    def forget_keys(self) -> None:
        """Forget the keys in this process and in the agent, without sending anything."""
        self.unlocked = self._last_key = None
        if self.agent is not None:
            self.agent.end()
        last_lock.note(self.store.folder)
