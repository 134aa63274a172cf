"""Changes the master password: the lock alone, or the account key and every wrap under it too."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vaultr.client.account import change_outcome, new_credentials
from vaultr.client.account import pending_change as changes
from vaultr.client.account.new_credentials import Drawn, Machines, OpenedKeys
from vaultr.client.account.open_account import WrongPassword
from vaultr.client.account.pending_change import Change
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
from vaultr.client.transport import account_session as sessions
from vaultr.client.transport.responses import key_set_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list, ask_pages

_TRIES: Final = 5


class AcceptanceBegun(VaultrError):
    """What the server lost is not written again yet, and would be lost with the account's key."""

    advice = "Nothing was changed. First: vaultr sync --accept. Then vaultr passwd again."


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """What a change of the master password ended with.

    :ivar secret_key: the new secret key, shown once; None when the account keeps the one it has.
    :ivar new_key: whether the account has another key: its recovery key is gone, and the vaults'
        keys are to be replaced by a rotation.
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
    """Have the server take new credentials; the folder is locked meanwhile.

    They are kept before they are sent, and what opened the account before stays until the server
    has shown the new ones to be its own.

    :param sync: brings all vaults up to date and verifies them; before their keys are wrapped anew.
    :raises AcceptanceBegun: with a new key, what this device set aside could not be opened again.
    :raises StepUpRequired: the password must be proven first; nothing was changed.
    :raises ServerUnreachable: it is not known what was done; the next command finds out.
    """
    store = opened.store
    with store.folder.locked():
        if change_outcome.settle(opened):  # another change must not be written over before it is
            raise WrongPassword("The master password was changed before: unlock with the new one.")
        if new_key and store.aside.ids():
            raise AcceptanceBegun(str(AcceptanceBegun.__doc__))
        sync()
        drawn = _draw(opened, password, new_key=new_key, new_secret_key=new_secret_key)
        for left in range(_TRIES - 1, -1, -1):
            change = _begin(opened, drawn, email=email, new_key=new_key)
            refused = _send(opened, drawn, change)
            if refused is None:
                break
            if not left or not isinstance(refused, PreconditionFailed | Conflict):
                with contextlib.suppress(ServerUnreachable, Refused):  # the next command does it
                    change_outcome.settle(opened)
                raise refused
            sync()  # something was written in between: follow that
        stays = change.wraps is None
        kept = {} if stays else {sessions.FILE: opened.session.sealed_for(drawn.account_key)}
        change_outcome.adopt(store, change, kept)
    return PasswordChanged(secret_key=drawn.new_secret_key, new_key=new_key)


def _draw(opened: UnlockedAccount, password: str, *, new_key: bool, new_secret_key: bool) -> Drawn:
    known, pins = opened.known, opened.profile.pins
    return new_credentials.draw(
        password,
        known.derivation,
        origin=pins.origin,
        epoch=known.key_set.epoch,
        account_key=keys.new_account_key() if new_key else opened.account_key,
        secret_key=opened.store.secret_key(opened.account_id) if pins.secret_key else None,
        new_secret_key=keys.new_secret_key() if new_secret_key else None,
    )


def _begin(opened: UnlockedAccount, drawn: Drawn, *, email: str, new_key: bool) -> Change:
    change = new_credentials.change_of(
        drawn,
        opened.known.key_set,
        opened.profile,
        email=email,
        before=opened.account_key if new_key else None,
        opened=_all_keys(opened) if new_key else None,
        machines=_machines(opened) if new_key else None,
    )
    changes.keep(opened.store.folder, change)
    return change


def _all_keys(opened: UnlockedAccount) -> OpenedKeys:
    """Open every wrap that the server has; those that this device knows must be the same keys."""
    found, wrapped = {}, {}
    for each in ask_list(opened.session):
        fields = Fields(each, "vault", AnswerInvalid)
        vault_id = fields.uuid("id")
        wrapped[vault_id] = read_wraps(fields, vault_id)
        check_wraps(wrapped[vault_id], fields.count("generation", least=1), vault_id)
        found[vault_id] = opened.keyring.open(vault_id, wrapped[vault_id])
    for vault_id in opened.store.cache.ids():
        held = None if vault_id in opened.deleted() else opened.store.cache.load(vault_id)
        if held is not None and not held.wraps.keys() <= wrapped.get(vault_id, {}).keys():
            # Under the new account key nobody could open what is not wrapped now.
            raise RolledBack(
                f"vault {vault_id}, or keys of it, are missing from the server's list; "
                f"held is {held.waypoint}",
                vault_id=vault_id,
            )
    return found


def _machines(opened: UnlockedAccount) -> Machines:
    """Open the sealing keys of all machines."""
    try:
        listed = [*ask_pages(opened.session, "/machines", "machines")]
    except NotFound:  # this server has no machines yet
        return {}
    found = {}
    for each in listed:
        fields = Fields(each, "machine", AnswerInvalid)
        machine_id = fields.uuid("id")
        found[machine_id] = keys.open_machine_kek(
            opened.wrap_key, opened.account_id, machine_id, fields.binary("sealed_kek")
        )
    return found


def _send(opened: UnlockedAccount, drawn: Drawn, change: Change) -> Refused | None:
    """Send a change, and read back what became of it; the refusal, if it was not taken."""
    refused: Refused | None = None
    try:
        body = new_credentials.body_of(drawn, change)
        opened.session.send("PUT", "/auth/credentials", body, again=True)
    except Refused as error:
        # An earlier try, whose answer was lost, may have been taken.
        refused = error
    account_id, key_set = key_set_of(opened.session.send("GET", "/auth/me"))
    if account_id != opened.account_id:
        raise PinMismatch(f"the server shows account {account_id}, ours is {opened.account_id}")
    if change.is_in(key_set):
        change_outcome.check_taken(change, key_set, opened.session)
        return None
    if refused is None:
        raise AnswerInvalid("the server says that it took the change, and shows that it did not")
    return refused
