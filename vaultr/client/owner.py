"""What the owner does with the account itself, as opposed to the vaults in it."""

from vaultr.client import account, passwd, proof
from vaultr.client import change as changes
from vaultr.client.access import Access
from vaultr.client.desk import Desk
from vaultr.client.errors import UsageError
from vaultr.client.passwd import PasswordChanged
from vaultr.client.passwords import check_password
from vaultr.client.proof import Factor


class Owner(Access):
    """The account in its owner's hands; see :class:`vaultr.client.api.Vaultr`."""

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
        proven = proof.prove(self._store, password, origin=transport.origin)
        desk = self._desk
        if desk is None:
            known, key = proven.known, proven.account_key
            desk = self._desk = Desk(account.resume(self._store, transport, known, key))
        proof.step_up(desk.account.session, proven, Factor(totp, recovery_code))

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
        desk = self._opened()

        def sync() -> None:
            if new_key:
                desk.sync()
                desk.settle(now=True)
            else:
                desk.account.refresh_profile()

        changed = passwd.change_password(
            desk.account,
            new_password,
            email=email,
            sync=sync,
            new_key=new_key,
            new_secret_key=new_secret_key,
        )
        self._desk = None
        proven = proof.prove(self._store, new_password, origin=self._to_server().origin)
        self._open_anew(proven)
        return changed

    def _open_anew(self, proven: proof.Proof) -> None:
        transport, known, key = self._to_server(), proven.known, proven.account_key
        self._desk = Desk(account.resume(self._store, transport, known, key))
        if self._agent is not None and self._agent.held():
            self._agent.start(key)
