"""What the owner does with the account itself, as opposed to the vaults in it."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from vaultr.client.account import (
    open_account,
    password_change,
    password_proof,
    recovery,
    sessions_and_factors,
)
from vaultr.client.account import pending_change as changes
from vaultr.client.account.emergency_kit import Kit
from vaultr.client.account.password_change import PasswordChanged
from vaultr.client.account.password_policy import check_password
from vaultr.client.account.password_proof import Factor
from vaultr.client.account.recovery import Recovery
from vaultr.client.account.sessions_and_factors import FactorInfo, SessionInfo, TotpBegun
from vaultr.client.account.signup import check_free
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import UsageError
from vaultr.client.sdk.device_session import Access
from vaultr.client.sdk.item_operations import Unlocked
from vaultr.client.transport import account_session as sessions
from vaultr.protocol.encoding import b64


class AccountMethods(Access):
    """The account in its owner's hands; see :class:`vaultr.client.vaultr_client.Vaultr`."""

    @property
    def home(self) -> Path:
        """The folder of this device."""
        return self._store.folder.path

    def check_server(self) -> None:
        """Check that it is known which server to talk to; it is not asked.

        :raises UsageError: none was named, and this folder knows none.
        :raises PinMismatch: another was named than this folder belongs to.
        """
        self._to_server()

    def check_signup(self) -> None:
        """Check that an account can be made from here, before its owner types anything.

        :raises UsageError: the folder belongs to an account, or no server is named.
        """
        check_free(self._store)
        self.check_server()

    def check_session(self) -> None:
        """Check that this device is not signed out, as far as it knows; no server is asked.

        :raises SessionEnded: it is; only a login helps.
        """
        if self._store.account() is not None and self._store.folder.read(sessions.FILE) is None:
            raise sessions.ended()

    def step_up(
        self, password: str, *, totp: str | None = None, recovery_code: str | None = None
    ) -> None:
        """Prove the password to the server, for what asks for a fresh proof; unlocks, too.

        :raises WrongPassword: the password does not open the account; nothing was sent.
        :raises SecondFactorRequired: the account has a second factor, and none was given.
        """
        transport = self._to_server()
        if changes.read(self._store.folder) is not None:
            self.unlock(password)  # which finds out what holds now
        unlocked = self._unlocked
        if unlocked is not None:
            unlocked.account.catch_up()  # another command may have changed the password since
        proven = password_proof.prove(self._store, password, origin=transport.origin)
        if unlocked is None:
            known, key = proven.known, proven.account_key
            unlocked = self._unlocked = Unlocked(
                open_account.resume(self._store, transport, known, key)
            )
        password_proof.step_up(unlocked.account.session, proven, Factor(totp, recovery_code))

    @property
    def change_is_pending(self) -> bool:
        """Whether the password was changed, and it is not known yet if the server took that."""
        return changes.read(self._store.folder) is not None

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

        After a lost answer, or the death of this client, exactly one of both passwords opens this
        device: the next command asks the server which one.

        :param new_key: others may know the old password, or had a device in their hands: replace
            the account key with every wrap under it. The recovery key ends. Call :meth:`rotate`
            after it, because they may have the keys of the vaults too.
        :param new_secret_key: draw another secret key, too; each other device asks for it.
        :raises WeakPassword: the new one is too easy to guess.
        :raises WrongPassword: the old one is wrong; nothing was sent.
        """
        email = self.email or ""
        check_password(new_password, email)
        if new_password == password:
            raise UsageError("The new master password is the old one.")
        self.step_up(password, totp=totp, recovery_code=recovery_code)
        unlocked = self._opened()

        def sync() -> None:
            if new_key:
                unlocked.sync()
                unlocked.settle(now=True)
            else:
                unlocked.account.refresh_profile()

        changed = password_change.change_password(
            unlocked.account,
            new_password,
            email=email,
            sync=sync,
            new_key=new_key,
            new_secret_key=new_secret_key,
        )
        self._unlocked = None
        proven = password_proof.prove(self._store, new_password, origin=self._to_server().origin)
        self._open_anew(proven)
        return changed

    def _open_anew(self, proven: password_proof.Proof) -> None:
        transport, known, key = self._to_server(), proven.known, proven.account_key
        self._unlocked = Unlocked(open_account.resume(self._store, transport, known, key))
        if self._agent is not None and self._agent.held():
            self._agent.start(key)

    def kit(self) -> Kit:
        """Give what the emergency kit holds; no network is needed."""
        self._opened()
        device, _, key = password_proof.kept(self._store)
        if device.pins is None:
            raise open_account.NotSignedIn(
                "This device belongs to no account yet: run vaultr login."
            )
        return Kit(device.pins, key)

    def resend(self) -> str:
        """Have the mail of the latest signup from here sent again; the older one is void.

        :return: the address.
        """
        waiting = self._store.device().waiting
        if not waiting:
            raise UsageError("No signup from this device waits to be confirmed.")
        email, account_id = waiting[-1].email, waiting[-1].pins.account_id
        body = {"email": email, "account_id": str(account_id)}
        self._to_server().send("POST", "/auth/resend-verification", body)
        return email

    def sessions(self) -> list[SessionInfo]:
        """List the live sessions of the account, the newest first."""
        return sessions_and_factors.sessions_of(self._opened().account.session)

    def revoke_session(self, session_id: UUID) -> None:
        """End a session; it is dead at its next request.

        :raises NotFound: there is no such session.
        """
        path = f"/auth/sessions/{session_id}"
        self._opened().account.session.send("DELETE", path)

    def logout_all(self) -> None:
        """End all sessions of the account, this one too.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        self.forget_elsewhere()
        session = self._opened().account.session
        with self._store.folder.locked():  # the tokens of a login meanwhile are not those to forget
            session.send("POST", "/auth/logout-all")
            session.forget()
        self._forget()

    def factors(self) -> list[FactorInfo]:
        """List the second factors."""
        return sessions_and_factors.factors_of(self._opened().account.session)

    def begin_totp(self) -> TotpBegun:
        """Draw the secret of an authenticator app; it counts once :meth:`confirm_totp` was right.

        :raises Conflict: there is one already.
        """
        return sessions_and_factors.begun(self._opened().account.session.send("POST", "/auth/totp"))

    def confirm_totp(self, code: str) -> Sequence[str]:
        """Have the app's codes asked for from now on; give ten recovery codes, shown this once."""
        session = self._opened().account.session
        return sessions_and_factors.codes_of(
            session.send("POST", "/auth/totp/confirm", {"code": code})
        )

    def remove_totp(self) -> None:
        """Remove the authenticator app, and the recovery codes with it."""
        self._opened().account.session.send("DELETE", "/auth/totp")

    def renew_recovery_codes(self) -> Sequence[str]:
        """Get ten new recovery codes; the old ones are void."""
        session = self._opened().account.session
        return sessions_and_factors.codes_of(session.send("POST", "/auth/recovery-codes"))

    def create_recovery_key(self) -> RecoveryKey:
        """Draw a recovery key, in the place of one that may be there; it is shown this once.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        held = self._opened().account
        with held.store.folder.locked():
            held.refresh_profile()
            key, epoch = RecoveryKey.new(), held.known.key_set.epoch
            body = {
                "verifier": b64(key.verifier(held.account_id)),
                "sealed": b64(key.seal(held.account_id, epoch, held.account_key)),
                "epoch": epoch,
            }
            held.session.send("PUT", "/auth/recovery-key", body, again=True)
        return key

    def remove_recovery_key(self) -> None:
        """Remove the recovery key, and end a recovery that it was used for."""
        self._opened().account.session.send("DELETE", "/auth/recovery-key")

    def ask_recovery(self, email: str) -> None:
        """Have a token mailed with which the account can be recovered."""
        recovery.ask(self._to_server(), email)

    @property
    def begun_recovery(self) -> tuple[str, str] | None:
        """Address and token of the recovery that was begun from this folder."""
        return recovery.begun(self._store)

    def start_recovery(self, email: str, token: str, key: RecoveryKey) -> Recovery:
        """Start the wait of 24 hours, or ask again; after it, the answer can be completed."""
        return recovery.start(self._store, self._to_server(), email=email, token=token, key=key)

    def complete_recovery(self, started: Recovery, password: str) -> bytes | None:
        """Set a new master password; give the new secret key. A :meth:`login` follows.

        :raises WeakPassword: the new one is too easy to guess.
        """
        check_password(password, started.email)
        return recovery.complete(self._store, self._to_server(), started, password)

    def cancel_recovery(self, token: str | None = None) -> None:
        """End a recovery, and the recovery key that was used: by its token, or by this session."""
        if token is not None:
            recovery.cancel(self._to_server(), token)
        else:
            self._opened().account.session.send("DELETE", "/auth/recover")
        # Not before: who cannot sign in has nothing else than the token that is kept.
        recovery.forget(self._store)

    def change_email(self, email: str) -> None:
        """Ask for another address; the mails to the old and to the new one must both be confirmed.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        self._opened().account.session.send("POST", "/auth/email", {"email": email})

    def confirm_email(self, token: str) -> None:
        """Agree to a change of address by one of its two tokens."""
        self._to_server().send("POST", "/auth/email/confirm", {"token": token})

    def undo_email(self, token: str) -> None:
        """Take the old address back, by the token that it got; all sessions end."""
        self._to_server().send("POST", "/auth/email/undo", {"token": token})

    def delete_account(self) -> None:
        """Delete the account with everything in it; this device keeps its sealed copy.

        :raises StepUpRequired: call :meth:`step_up` first.
        """
        session = self._opened().account.session
        with self._store.folder.locked():
            session.send("DELETE", "/auth/account")
            session.forget()
        self._forget()
