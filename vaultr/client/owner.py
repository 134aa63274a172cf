"""What the owner does with the account itself, as opposed to the vaults in it."""

from vaultr.client import account, proof
from vaultr.client.access import Access
from vaultr.client.desk import Desk
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
        proven = proof.prove(self._store, password, origin=transport.origin)
        opened = self._desk
        if opened is None:
            known, key = proven.known, proven.account_key
            opened = self._desk = Desk(account.resume(self._store, transport, known, key))
        proof.step_up(opened.account.session, proven, Factor(totp, recovery_code))
