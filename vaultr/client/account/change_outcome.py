"""How a change of credentials ended: the server is asked, and the device follows it as a whole."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from vaultr.client.account import pending_change as changes
from vaultr.client.account.pending_change import Change
from vaultr.client.crypto.primitives import KEY_BYTES, hkdf_expand
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import AnswerInvalid, PinMismatch, StateMismatch
from vaultr.client.log.pages import read_wraps
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Fields
from vaultr.client.transport import account_session as sessions
from vaultr.client.transport.account_session import Session
from vaultr.client.transport.responses import key_set_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list
from vaultr.protocol.encoding import lp

_LABEL: Final = "vaultr/v1/device-before"
_TRIES: Final = 5


def sealed_before(account_key: bytes, account_id: UUID, before: bytes) -> bytes:
    """Seal the account key from before under the new one, for this device alone."""
    return seal(_key(account_key, account_id), lp(_LABEL, account_id), before)


def opened_before(account_key: bytes, account_id: UUID, sealed: bytes) -> bytes:
    """Open what :func:`sealed_before` gave."""
    return open_sealed(_key(account_key, account_id), lp(_LABEL, account_id), sealed)


def _key(account_key: bytes, account_id: UUID) -> bytes:
    return hkdf_expand(account_key, lp(_LABEL, account_id), KEY_BYTES)


def settle(opened: UnlockedAccount) -> bool:
    """Find out how the change that this device began has ended, and follow it.

    One that the server did not take is made impossible first, by a newer revision of the profile:
    the request may be on its way still. The folder is locked meanwhile.

    :return: whether the server took it, or another one that a command of this device ended
        meanwhile. Then ``opened`` is of before, and must be opened anew.
    :raises ServerUnreachable, SessionEnded: it is not known yet, and all is as it was.
    """
    store = opened.store
    with store.folder.locked():
        change = changes.read(store.folder)
        if change is None:
            return _is_of_before(opened)
        for _ in range(_TRIES):
            account_id, key_set = key_set_of(opened.session.send("GET", "/auth/me"))
            if account_id != opened.account_id:
                raise PinMismatch(
                    f"the server shows account {account_id}, ours is {opened.account_id}"
                )
            if change.is_in(key_set):
                check_taken(change, key_set, opened.session)
                stays = change.wraps is None
                adopt(store, change, {} if stays else {sessions.FILE: None})
                return True
            shown = opened.refresh_profile()  # opens it: its revision is no mere word
            if (
                change.is_over(key_set)
                and shown.revision >= change.account.key_set.profile.revision
            ):
                changes.drop(store.folder)
                return False
            opened.write_profile(opened.profile, lambda: None)  # it says nothing new of any vault
        raise AnswerInvalid("the server shows neither the change of the password nor its end")


def _is_of_before(opened: UnlockedAccount) -> bool:
    known = opened.store.account()
    return known is not None and known.key_set.epoch != opened.known.key_set.epoch


def check_taken(change: Change, key_set: KeySet, session: Session) -> None:
    """Check that the server has all of what was sent, before what opened the account is given up.

    :raises AnswerInvalid: identity keys or profile are others than those sent.
    :raises StateMismatch: a vault's keys are others than those sent.
    """
    ours = change.account.key_set
    if key_set.identity != ours.identity:
        raise AnswerInvalid("the server took other identity keys than were sent")
    if key_set.profile.revision < ours.profile.revision or (
        key_set.profile.revision == ours.profile.revision
        and key_set.profile.sealed != ours.profile.sealed
    ):
        raise AnswerInvalid("the server took another profile than was sent")
    if change.wraps is None:
        return
    for each in ask_list(session):
        fields = Fields(each, "vault", AnswerInvalid)
        vault_id = fields.uuid("id")
        shown = read_wraps(fields, vault_id)
        sent = change.wraps.get(vault_id, {})
        if any(shown.get(generation) != sealed for generation, sealed in sent.items()):
            raise StateMismatch(
                f"vault {vault_id} has other wraps than were sent with the new account key",
                vault_id=vault_id,
            )


def adopt(store: Store, change: Change, session: Mapping[str, bytes | None]) -> None:
    """Take over what the server took, all of it at one moment; the old wrap goes with it.

    :param session: what becomes of the session's file; nothing, where the account key stays.
    """
    with store.folder.locked():
        others: dict[str, bytes | None] = {changes.FILE: None, **session}
        if change.wraps is not None:
            others |= dict.fromkeys(store.unsent())
            wraps = rewrapped_keys.encode(change.wraps)
            others[rewrapped_keys.FILE] = store.folder.signed(rewrapped_keys.FILE, wraps)
        device = store.device()
        # A login since the change was begun knows the address better.
        email = device.email or change.email
        device = replace(device, email=email, pins=change.pins, waiting=())
        store.keep_signed_in(device, change.account, secret_key=change.secret_key, others=others)
