"""Account operations of the SDK: password, sessions, second factors, recovery, email."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vaultr.client.account import password_proof, pending_change, recovery, sessions_and_factors
from vaultr.client.account.credentials import NotSignedIn
from vaultr.client.account.emergency_kit import Kit
from vaultr.client.account.password_change import PasswordChanged, change_password
from vaultr.client.account.password_policy import check_password
from vaultr.client.account.password_proof import PasswordProof, SecondFactor
from vaultr.client.account.recovery import Cancelled, Recovery
from vaultr.client.account.sessions_and_factors import (
    FactorInfo,
    Protection,
    SessionInfo,
    TotpBegun,
)
from vaultr.client.account.signup import check_folder_is_free
from vaultr.client.account.unlock import open_with_account_key
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import UsageError
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.sdk.unlocked_vaults import UnlockedVaults
from vaultr.client.sdk.vault_operations import sync_all
from vaultr.client.transport.account_session import SESSION_FILE, Session, session_ended
from vaultr.protocol import kdf
from vaultr.protocol.encoding import b64


class AccountOperations:
    """Works on the account itself, not on the vaults in it."""

    def __init__(self, device: DeviceSession) -> None:
        self._device = device
        self._store = device.store

    @property
    def _session(self) -> Session:
        return self._device.require_unlocked().account.session

    def check_server(self) -> None:
        """Check that a server is set, without contacting it.

        :raises UsageError: no server was passed or stored in this folder.
        :raises PinMismatch: this folder belongs to a server other than the one passed.
        """
        self._device.server()

    def reach_server(self, email: str) -> None:
        """Check that a Vaultr server responds, before the user types a password.

        :raises ServerUnreachable: it does not, or its certificate is invalid.
        :raises NotVaultr: something else responds.
        """
        self._device.server().send("POST", "/auth/prelogin", {"email": email}, again=True)

    def check_signup(self) -> None:
        """Check that an account can be created in this folder, before the user types anything.

        :raises UsageError: the folder belongs to an account, or no server is set.
        """
        check_folder_is_free(self._store)
        self.check_server()

    def check_session(self) -> None:
        """Check that this device is logged in, as far as it knows, without contacting the server.

        :raises SessionEnded: it is logged out: log in again.
        """
        if self._store.account() is not None and self._store.folder.read(SESSION_FILE) is None:
            raise session_ended()

    def step_up(
        self, password: str, *, totp: str | None = None, recovery_code: str | None = None
    ) -> None:
        """Prove the master password to the server, for actions that require it; also unlock."""
        transport = self._device.server()
        if self.change_is_pending:
            self._device.unlock(password)  # asks the server whether it has stored the change
        unlocked = self._device.unlocked
        if unlocked is not None:
            unlocked.account.catch_up()  # another command may have changed the password since
        proof = password_proof.prove(self._store, password, origin=transport.origin)
        if unlocked is None:
            unlocked = self._open(proof)
        factor = SecondFactor(totp, recovery_code)
        password_proof.step_up(unlocked.account.session, proof, factor)

    def _open(self, proof: PasswordProof) -> UnlockedVaults:
        opened = open_with_account_key(
            self._store, self._device.server(), proof.known, proof.account_key
        )
        self._device.unlocked = UnlockedVaults(opened)
        return self._device.unlocked

    @property
    def change_is_pending(self) -> bool:
        """Whether a password change was sent, and its outcome is unknown."""
        return pending_change.read(self._store.folder) is not None

    def change_password(
        self,
        password: str,
        new_password: str,
        *,
        new_key: bool,
        new_secret_key: bool = False,
        totp: str | None = None,
        recovery_code: str | None = None,
    ) -> PasswordChanged:
        """Change the master password; all other sessions end.

        If the response is lost or this process is killed, exactly one of the two passwords opens
        this device; the next command asks the server which one.

        :param new_key: replace the account key and every wrap under it, because others may know
            the old password or had one of the devices. The recovery key is deleted. Call
            :meth:`rotate` next, because they may have the keys of the vaults too.
        :param new_secret_key: replace the secret key as well; all other devices need the new one.
        :raises WeakPassword: the new password is too easy to guess.
        :raises WrongPassword: the old password is wrong; nothing was sent.
        """
        check_password(new_password, self._device.email or "")
        if new_password == password:
            raise UsageError("The new master password is the same as the old one.")
        self.step_up(password, totp=totp, recovery_code=recovery_code)
        return self._change_password(new_password, new_key=new_key, new_secret_key=new_secret_key)

    @property
    def kdf_is_low(self) -> bool:
        """Whether the account's KDF parameters are lower than today's default."""
        pins = self._store.device().pins
        return pins is not None and kdf.is_below_recommended(pins.kdf)

    def raise_kdf_cost(
        self, password: str, *, totp: str | None = None, recovery_code: str | None = None
    ) -> None:
        """Derive the keys of the same master password with today's KDF parameters.

        All other sessions end, as with :meth:`change_password`.

        :raises UsageError: the account has today's parameters or higher ones.
        :raises WrongPassword: the password is wrong; nothing was sent.
        """
        if not self.kdf_is_low:
            raise UsageError(
                "The master password is already as hard to guess as with today's default settings."
            )
        self.step_up(password, totp=totp, recovery_code=recovery_code)
        self._change_password(password, new_key=False, new_secret_key=False)

    def _change_password(
        self, new_password: str, *, new_key: bool, new_secret_key: bool
    ) -> PasswordChanged:
        unlocked = self._device.require_unlocked()

        def sync() -> None:
            if new_key:
                sync_all(unlocked)
                unlocked.write_profile(now=True)
            else:
                unlocked.account.refresh_profile()

        changed = change_password(
            unlocked.account,
            new_password,
            email=self._device.email or "",
            sync=sync,
            new_key=new_key,
            new_secret_key=new_secret_key,
        )
        self._device.unlocked = None
        origin = self._device.server().origin
        self._open(password_proof.prove(self._store, new_password, origin=origin))
        self._device.replace_key_in_agent()
        return changed

    def kit(self) -> Kit:
        """Return the emergency kit; no network is needed."""
        self._device.require_unlocked()
        device, _, secret_key = password_proof.read_device(self._store)
        if device.pins is None:
            raise NotSignedIn("This device belongs to no account yet: run vaultr login.")
        return Kit(device.pins, secret_key)

    def resend(self) -> str:
        """Resend the email for this device's latest signup; the previous email becomes invalid.

        :return: the email address.
        """
        waiting = self._store.device().waiting
        if not waiting:
            raise UsageError("No signup from this device is waiting for confirmation.")
        email, account_id = waiting[-1].email, waiting[-1].pins.account_id
        body = {"email": email, "account_id": str(account_id)}
        self._device.server().send("POST", "/auth/resend-verification", body)
        return email

    def sessions(self) -> list[SessionInfo]:
        """List the live sessions of the account, newest first."""
        return sessions_and_factors.list_sessions(self._session)

    def revoke_session(self, session_id: UUID) -> None:
        """End a session; its next request is rejected.

        :raises NotFound: no such session exists.
        """
        self._session.send("DELETE", f"/auth/sessions/{session_id}")

    def logout_all(self) -> None:
        """End all sessions of the account, including this one.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        self._end_session("POST", "/auth/logout-all")

    def _end_session(self, method: str, path: str) -> None:
        self._device.forget_elsewhere()
        session = self._session
        # The lock protects the tokens of a parallel login, which must not be deleted.
        with self._store.folder.locked():
            session.send(method, path)
            session.forget()
        self._device.forget_keys()

    def factors(self) -> list[FactorInfo]:
        """List the second factors."""
        return sessions_and_factors.list_factors(self._session)

    def begin_totp(self) -> TotpBegun:
        """Create the secret of an authenticator app; :meth:`confirm_totp` activates it.

        :raises Conflict: the account has an authenticator app already.
        """
        return sessions_and_factors.read_totp(self._session.send("POST", "/auth/totp"))

    def confirm_totp(self, code: str) -> Sequence[str]:
        """Require the app's codes from now on; return ten recovery codes, shown only once."""
        answer = self._session.send("POST", "/auth/totp/confirm", {"code": code})
        return sessions_and_factors.read_recovery_codes(answer)

    def remove_totp(self) -> None:
        """Remove the authenticator app and the recovery codes."""
        self._session.send("DELETE", "/auth/totp")

    def renew_recovery_codes(self) -> Sequence[str]:
        """Return ten new recovery codes; the old ones are invalid."""
        answer = self._session.send("POST", "/auth/recovery-codes")
        return sessions_and_factors.read_recovery_codes(answer)

    def create_recovery_key(self) -> RecoveryKey:
        """Create a recovery key, shown only once; it replaces an existing one.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        account = self._device.require_unlocked().account
        with self._store.folder.locked():
            account.refresh_profile()
            key, epoch = RecoveryKey.new(), account.known.key_set.epoch
            body = {
                "verifier": b64(key.verifier(account.account_id)),
                "sealed": b64(key.seal(account.account_id, epoch, account.account_key)),
                "epoch": epoch,
            }
            account.session.send("PUT", "/auth/recovery-key", body, again=True)
        return key

    def remove_recovery_key(self) -> None:
        """Remove the recovery key, and end a recovery that uses it."""
        self._session.send("DELETE", "/auth/recovery-key")

    def ask_recovery(self, email: str) -> None:
        """Request an email with a token for recovering the account."""
        recovery.ask(self._device.server(), email)

    @property
    def begun_recovery(self) -> tuple[str, str] | None:
        """Email address and token of the recovery started in this folder."""
        return recovery.begun(self._store)

    def start_recovery(self, email: str, token: str, key: RecoveryKey) -> Recovery:
        """Start the wait of 24 hours; after it, the same call returns what completes it."""
        server = self._device.server()
        return recovery.start(self._store, server, email=email, token=token, key=key)

    def complete_recovery(self, started: Recovery, password: str) -> bytes | None:
        """Set a new master password and return the new secret key; call :meth:`login` next.

        :raises WeakPassword: the new password is too easy to guess.
        """
        check_password(password, started.email)
        return recovery.complete(self._store, self._device.server(), started, password)

    @property
    def recovery_ready_at(self) -> datetime | None:
        """When the waiting time of this folder's recovery ends; None before it has started."""
        return recovery.ready_at(self._store)

    def check_recovery(self, email: str) -> None:
        """Check that the server can be reached, before the user types a recovery key.

        :raises PinMismatch: this folder belongs to another account or server.
        """
        recovery.check(self._store, self._device.server(), email)

    def cancel_recovery(self, token: str | None = None) -> Cancelled:
        """End a recovery by its token or by this session; delete its recovery key if it was used.

        :raises NotFound: no recovery is running (by session).
        :raises TokenInvalid: the token is wrong, or its recovery has ended.
        """
        if token is not None:
            own = recovery.begun(self._store)
            is_started = own is not None and own[1] == token and self.recovery_ready_at is not None
            recovery.cancel(self._device.server(), token)
            known = True if is_started else None
            ended = Cancelled(started=known, key_deleted=known)
        else:
            before = self._protection()
            self._session.send("DELETE", "/auth/recover")
            gone = before.has_recovery_key and not self._protection().has_recovery_key
            ended = Cancelled(before.recovery_is_running, gone)
        # Only now: without a session, the stored token is the only way to cancel.
        recovery.forget(self._store)
        return ended

    def _protection(self) -> Protection:
        return sessions_and_factors.read_protection(self._session.send("GET", "/auth/me"))

    def change_email(self, email: str) -> None:
        """Request another email address; both addresses receive an email to confirm.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        self._session.send("POST", "/auth/email", {"email": email})

    def confirm_email(self, token: str) -> None:
        """Confirm a change of email address by one of its two tokens."""
        self._device.server().send("POST", "/auth/email/confirm", {"token": token})

    def undo_email(self, token: str) -> None:
        """Restore the old email address with the token sent to it; all sessions end."""
        self._device.server().send("POST", "/auth/email/undo", {"token": token})

    def delete_account(self) -> None:
        """Delete the account and everything in it; this device keeps its sealed copy.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        self._end_session("DELETE", "/auth/account")
