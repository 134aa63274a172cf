"""Unlock the account with the master password or its account key."""

from vaultr.client.account import change_outcome, pending_change
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.account.password_proof import PasswordProof, open_known, prove
from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.crypto import keys
from vaultr.client.errors import IntegrityError, SealBroken, VaultrError
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.store import Store
from vaultr.client.transport.account_session import SESSION_FILE, Session
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import key_set_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount

_NOT_CHANGED = "The server did not store the new master password: the old one is still valid."
_UNKNOWN = (
    "It is not known yet whether the server stored the new master password. Until the server "
    "responds, the old one opens this device."
)


def unlock(store: Store, transport: Transport, password: str) -> tuple[UnlockedAccount, list[str]]:
    """Open the account with the files of this device.

    The server is contacted only if a change of the password is pending: its outcome determines
    which password opens the account.

    :return: the account, and messages for the user.
    :raises NotSignedIn: this device has never logged in.
    :raises WrongPassword: the password does not open the account, or no longer does.
    """
    change = pending_change.read(store.folder)
    try:
        proof = prove(store, password, origin=transport.origin)
    except WrongPassword:
        if change is None:
            raise
        return _by_new_password(store, transport, password, change)
    opened = open_with_account_key(store, transport, proof.known, proof.account_key)
    if change is None or change.is_in(proof.known.key_set):  # another command finished it
        return opened, []
    try:
        stored = change_outcome.settle(opened)
    # even if verification failed, because this device's copy stays readable
    except VaultrError as error:
        return opened, [f"{_UNKNOWN} ({error})"]
    if stored:
        raise WrongPassword("The master password was changed: use the new one.")
    return opened, [_NOT_CHANGED]


def open_with_key(
    store: Store, transport: Transport, known: KnownAccount, key: bytes
) -> UnlockedAccount | None:
    """Open the account with its account key; return None if the key is for another account."""
    try:
        opened = open_with_account_key(store, transport, known, key)
        if pending_change.read(store.folder) is not None and _settled(opened):
            known_now = store.account()
            if known_now is None:
                return None
            return open_with_account_key(store, transport, known_now, key)
    except SealBroken:  # the key of an earlier account, or a replaced key
        return None
    return opened


def open_with_account_key(
    store: Store, transport: Transport, known: KnownAccount, account_key: bytes
) -> UnlockedAccount:
    """Open the account with its account key, as the agent returns it.

    :raises SealBroken: the key belongs to another account, or was replaced.
    """
    account_id = known.derivation.account_id
    session = Session(transport, store.folder, account_id=account_id, account_key=account_key)
    return UnlockedAccount.open(store, session, known, account_key)


def _settled(opened: UnlockedAccount) -> bool:
    try:
        return change_outcome.settle(opened)
    except VaultrError:  # the outcome is unknown
        return False


def _by_new_password(
    store: Store, transport: Transport, password: str, change: CredentialChange
) -> tuple[UnlockedAccount, list[str]]:
    proof = _new_proof(store, password, change)
    account_key = proof.account_key
    # This checks that the session's tokens are sent only to the account's own server.
    open_with_account_key(store, transport, change.account, account_key)
    with store.folder.locked():
        if pending_change.read(store.folder) != change:  # another command finished it
            return unlock(store, transport, password)
        try:
            _apply(store, transport, change, account_key)
        except (IntegrityError, WrongPassword):
            raise
        except VaultrError as error:
            error.add_note(_UNKNOWN)
            raise
    return open_with_account_key(store, transport, change.account, account_key), []


def _apply(
    store: Store, transport: Transport, change: CredentialChange, account_key: bytes
) -> None:
    """Write a pending change to the folder; the server must have stored it."""
    account_id, before = change.account.derivation.account_id, account_key
    if change.before is not None:  # the session's tokens are sealed under the old key
        before = change_outcome.open_old_key(account_key, account_id, change.before)
    session = Session(transport, store.folder, account_id=account_id, account_key=before)
    _, key_set = key_set_of(session.send("GET", "/auth/me"))
    if not change.is_in(key_set):
        raise WrongPassword(_NOT_CHANGED)
    change_outcome.check_stored(change, key_set, session)
    stays = change.wraps is None
    change_outcome.adopt(
        store, change, {} if stays else {SESSION_FILE: session.sealed_for(account_key)}
    )


def _new_proof(store: Store, password: str, change: CredentialChange) -> PasswordProof:
    inputs = change.account.derivation
    secret_key = change.secret_key
    if secret_key is None and change.pins.secret_key:
        secret_key = store.secret_key(inputs.account_id)
    root = keys.derive_root(password, inputs.salt, inputs.kdf, secret_key)
    try:
        return PasswordProof(change.account, root, open_known(change.account, root))
    except SealBroken:
        raise WrongPassword("The master password is wrong.") from None
