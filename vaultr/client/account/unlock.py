"""Unlocking: by the master password, also where it is not known yet which one holds."""

from vaultr.client.account import change_outcome
from vaultr.client.account import pending_change as changes
from vaultr.client.account.open_account import WrongPassword, resume
from vaultr.client.account.password_proof import Proof, open_known, prove
from vaultr.client.account.pending_change import Change
from vaultr.client.crypto import keys
from vaultr.client.errors import IntegrityError, SealBroken, VaultrError
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.store import Store
from vaultr.client.transport import account_session as sessions
from vaultr.client.transport.account_session import Session
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import key_set_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount

_UNKNOWN = (
    "It is not known yet whether the server took the change of the master password; until it "
    "answers, the old one opens what this device holds."
)


def unlock(store: Store, transport: Transport, password: str) -> tuple[UnlockedAccount, list[str]]:
    """Open the account with what this device kept; the server is asked only about a change.

    A change of the password whose answer was lost is settled first: new, then old.

    :return: the account, and what its owner has to be told.
    :raises NotSignedIn: this device never logged in.
    :raises WrongPassword: the password does not open it, or does so no more.
    """
    change = changes.read(store.folder)
    try:
        proof = prove(store, password, origin=transport.origin)
    except WrongPassword:
        if change is None:
            raise
        return _by_new_password(store, transport, password, change)
    opened = resume(store, transport, proof.known, proof.account_key)
    if change is None or change.is_in(proof.known.key_set):  # another command has just ended it
        return opened, []
    try:
        taken = change_outcome.settle(opened)
    except VaultrError as error:  # also where the server lies: what is held can be read still
        return opened, [f"{_UNKNOWN} ({error})"]
    if taken:
        raise WrongPassword("The master password was changed: the new one opens this device now.")
    return opened, ["The change of the master password was not made: the old one holds."]


def by_key(
    store: Store, transport: Transport, known: KnownAccount, key: bytes
) -> UnlockedAccount | None:
    """Open the account with the key of the unlock process; None where it is not this account's."""
    try:
        opened = resume(store, transport, known, key)
        if changes.read(store.folder) is not None and _settled(opened):
            followed = store.account()
            return None if followed is None else resume(store, transport, followed, key)
    except SealBroken:  # the key of an account, or an account key, that was here before
        return None
    return opened


def _settled(opened: UnlockedAccount) -> bool:
    try:
        return change_outcome.settle(opened)
    except VaultrError:  # not known yet: all is as it was
        return False


def _by_new_password(
    store: Store, transport: Transport, password: str, change: Change
) -> tuple[UnlockedAccount, list[str]]:
    proof = _new_proof(store, password, change)
    account_key = proof.account_key
    resume(store, transport, change.account, account_key)  # which checks where this sends to
    with store.folder.locked():
        if changes.read(store.folder) != change:  # another command has just ended it
            return unlock(store, transport, password)
        try:
            _follow(store, transport, change, account_key)
        except (IntegrityError, WrongPassword):
            raise
        except VaultrError as error:
            error.add_note(_UNKNOWN)
            raise
    return resume(store, transport, change.account, account_key), []


def _follow(store: Store, transport: Transport, change: Change, account_key: bytes) -> None:
    """Have the device follow a change, which the server must show to be its own by now."""
    account_id, before = change.account.derivation.account_id, account_key
    if change.before is not None:  # the session's tokens are sealed by the key from before
        before = change_outcome.opened_before(account_key, account_id, change.before)
    session = Session(transport, store.folder, account_id=account_id, account_key=before)
    _, key_set = key_set_of(session.send("GET", "/auth/me"))
    if not change.is_in(key_set):
        raise WrongPassword("The change of the master password was not made: the old one holds.")
    change_outcome.check_taken(change, key_set, session)
    stays = change.wraps is None
    change_outcome.adopt(
        store, change, {} if stays else {sessions.FILE: session.sealed_for(account_key)}
    )


def _new_proof(store: Store, password: str, change: Change) -> Proof:
    inputs = change.account.derivation
    secret_key = change.secret_key
    if secret_key is None and change.pins.secret_key:
        secret_key = store.secret_key(inputs.account_id)
    root = keys.derive_root(password, inputs.salt, inputs.kdf, secret_key)
    try:
        return Proof(change.account, root, open_known(change.account, root))
    except SealBroken:
        raise WrongPassword("The master password is wrong.") from None
