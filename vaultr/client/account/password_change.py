"""Change the master password, with or without a new account key."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vaultr.client.account import change_outcome, new_credentials, pending_change
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.account.new_credentials import Machines, NewCredentials, OpenedKeys
from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.crypto import keys
from vaultr.client.errors import (
    AnswerInvalid,
    Conflict,
    NotFound,
    PinMismatch,
    PreconditionFailed,
    Refused,
    RolledBack,
    ServerUnreachable,
    VaultrError,
)
from vaultr.client.log.pages import check_wraps, read_wraps
from vaultr.client.strict_json import Fields
from vaultr.client.transport.account_session import SESSION_FILE
from vaultr.client.transport.responses import key_set_of
from vaultr.client.transport.retry import RetryPolicy
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list, ask_pages

_RETRIES: Final = RetryPolicy(tries=5)


class AcceptanceBegun(VaultrError):
    """Restoring what the server lost must be finished before the account key is replaced."""

    advice = "Nothing was changed. Run vaultr sync --accept, then vaultr passwd again."


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """The result of a change of the master password.

    :ivar secret_key: the new secret key, shown only once; None if the account keeps its secret key.
    :ivar new_key: whether the account key was replaced: the recovery key is deleted, and the keys
        of the vaults must be replaced by a rotation.
    """

    secret_key: bytes | None = field(repr=False)
    new_key: bool


def change_password(
    opened: UnlockedAccount,
    password: str,
    *,
    email: str,
    sync: Callable[[], object],
    new_key: bool,
    new_secret_key: bool,
) -> PasswordChanged:
    """Replace the account's credentials on the server; the folder is locked meanwhile.

    The change is stored on this device before it is sent, and the old credentials stay until the
    server shows the new ones.

    :param sync: brings all vaults up to date and verifies them, before their keys are rewrapped.
    :raises AcceptanceBegun: a new key would make copies unreadable that an unfinished acceptance
        still needs.
    :raises StepUpRequired: the password must be proved first; nothing was changed.
    :raises ServerUnreachable: the outcome is unknown; the next command asks for it.
    """
    store = opened.store
    with store.folder.locked():
        if change_outcome.settle(opened):  # two changes must not overlap
            raise WrongPassword(
                "The master password was changed already: unlock this device with the new one."
            )
        if new_key and store.aside.ids():
            raise AcceptanceBegun(str(AcceptanceBegun.__doc__))
        sync()
        credentials = _generate(opened, password, new_key=new_key, new_secret_key=new_secret_key)
        for attempt in _RETRIES.attempts():
            change = _begin(opened, credentials, email=email, new_key=new_key)
            rejected = _send(opened, credentials, change)
            if rejected is None:
                break
            if attempt.is_last or not isinstance(rejected, PreconditionFailed | Conflict):
                with contextlib.suppress(
                    ServerUnreachable, Refused
                ):  # the next command tries again
                    change_outcome.settle(opened)
                raise rejected
            sync()  # another device wrote first
        session = {}
        if change.wraps is not None:
            session = {SESSION_FILE: opened.session.sealed_for(credentials.account_key)}
        change_outcome.adopt(store, change, session)
    return PasswordChanged(secret_key=credentials.new_secret_key, new_key=new_key)


def _generate(
    opened: UnlockedAccount, password: str, *, new_key: bool, new_secret_key: bool
) -> NewCredentials:
    known, pins = opened.known, opened.profile.pins
    return new_credentials.generate(
        password,
        known.derivation,
        origin=pins.origin,
        epoch=known.key_set.epoch,
        account_key=keys.new_account_key() if new_key else opened.account_key,
        secret_key=opened.store.secret_key(opened.account_id) if pins.secret_key else None,
        new_secret_key=keys.new_secret_key() if new_secret_key else None,
    )


def _begin(
    opened: UnlockedAccount, credentials: NewCredentials, *, email: str, new_key: bool
) -> CredentialChange:
    change = new_credentials.seal_change(
        credentials,
        opened.known.key_set,
        opened.profile,
        email=email,
        before=opened.account_key if new_key else None,
        opened=_all_keys(opened) if new_key else None,
        machines=_machines(opened) if new_key else None,
    )
    pending_change.write(opened.store.folder, change)
    return change


def _all_keys(opened: UnlockedAccount) -> OpenedKeys:
    """Open every wrap on the server; keys that this device knows must be the same."""
    found, wrapped = {}, {}
    for each in ask_list(opened.session):
        fields = Fields(each, "vault", AnswerInvalid)
        vault_id = fields.uuid("id")
        wrapped[vault_id] = read_wraps(fields, vault_id)
        check_wraps(wrapped[vault_id], fields.count("generation", least=1), vault_id)
        found[vault_id] = opened.keyring.open(vault_id, wrapped[vault_id])
    for vault_id in opened.store.cache.ids():
        cached = None if vault_id in opened.deleted() else opened.store.cache.load(vault_id)
        if cached is not None and not cached.wraps.keys() <= wrapped.get(vault_id, {}).keys():
            # A key that is not rewrapped now can never be opened with the new account key.
            raise RolledBack(
                f"The server withholds vault {vault_id} or some of its keys; this device has "
                f"{cached.waypoint}. The password was not changed.",
                vault_id=vault_id,
            )
    return found


def _machines(opened: UnlockedAccount) -> Machines:
    """Return the sealing keys of all machines."""
    try:
        listed = [*ask_pages(opened.session, "/machines", "machines")]
    except NotFound:  # a server without support for machines
        return {}
    found = {}
    for each in listed:
        fields = Fields(each, "machine", AnswerInvalid)
        machine_id = fields.uuid("id")
        found[machine_id] = keys.open_machine_kek(
            opened.wrap_key, opened.account_id, machine_id, fields.binary("sealed_kek")
        )
    return found


def _send(
    opened: UnlockedAccount, credentials: NewCredentials, change: CredentialChange
) -> Refused | None:
    """Send a change and check whether the server stored it; if not, return the error."""
    rejected: Refused | None = None
    try:
        body = new_credentials.body_of(credentials, change)
        opened.session.send("PUT", "/auth/credentials", body, again=True)
    except Refused as error:
        # An earlier attempt, whose response was lost, may have been stored.
        rejected = error
    account_id, key_set = key_set_of(opened.session.send("GET", "/auth/me"))
    if account_id != opened.account_id:
        raise PinMismatch(f"The server shows account {account_id}, yours is {opened.account_id}.")
    if change.is_in(key_set):
        change_outcome.check_stored(change, key_set, opened.session)
        return None
    if rejected is None:
        raise AnswerInvalid(
            "The server confirmed the new password, but still shows the old one. Keep both "
            "passwords: the next command finds out which one is valid."
        )
    return rejected
