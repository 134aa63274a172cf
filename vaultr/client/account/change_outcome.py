"""The outcome of a change of credentials: ask the server, and update this device atomically."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from vaultr.client.account import pending_change
from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.crypto.primitives import KEY_BYTES, hkdf_expand
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import AnswerInvalid, PinMismatch, StateMismatch
from vaultr.client.log.pages import read_wraps
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Fields
from vaultr.client.transport.account_session import SESSION_FILE, Session
from vaultr.client.transport.responses import key_set_of
from vaultr.client.transport.retry import RetryPolicy
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list
from vaultr.protocol.encoding import lp

_LABEL: Final = "vaultr/v1/device-before"
_RETRIES: Final = RetryPolicy(tries=5)


def seal_old_key(account_key: bytes, account_id: UUID, old_key: bytes) -> bytes:
    """Seal the old account key under the new one, for use on this device only."""
    return seal(_key(account_key, account_id), lp(_LABEL, account_id), old_key)


def open_old_key(account_key: bytes, account_id: UUID, sealed: bytes) -> bytes:
    """Open the value that :func:`seal_old_key` returned."""
    return open_sealed(_key(account_key, account_id), lp(_LABEL, account_id), sealed)


def _key(account_key: bytes, account_id: UUID) -> bytes:
    return hkdf_expand(account_key, lp(_LABEL, account_id), KEY_BYTES)


def settle(opened: UnlockedAccount) -> bool:
    """Find out whether the server stored the change that this device sent, and update the device.

    If the server did not store it, a newer revision of the profile is written first: the request
    may still arrive, and the server then rejects it. The folder is locked meanwhile.

    :return: whether this or another change was stored. If so, ``opened`` is outdated, and the
        account must be opened again.
    :raises ServerUnreachable, SessionEnded: the outcome is still unknown, and nothing was changed.
    """
    store = opened.store
    with store.folder.locked():
        change = pending_change.read(store.folder)
        if change is None:
            return _is_outdated(opened)
        for attempt in _RETRIES.attempts():
            account_id, key_set = key_set_of(opened.session.send("GET", "/auth/me"))
            if account_id != opened.account_id:
                raise PinMismatch(
                    f"The server shows account {account_id}, yours is {opened.account_id}."
                )
            if change.is_in(key_set):
                check_stored(change, key_set, opened.session)
                stays = change.wraps is None
                adopt(store, change, {} if stays else {SESSION_FILE: None})
                return True
            try:
                if _proves_absence(change, key_set, opened):
                    pending_change.remove(store.folder)
                    return False
                if attempt.is_last:
                    raise AnswerInvalid(
                        "The server shows neither the old nor the new master password as valid. "
                        "Keep both passwords: the next command on this device asks again."
                    )
                # the change contains no new head of a vault
                opened.write_profile(opened.profile, lambda: None)
            except PinMismatch:
                # The change may have arrived after /auth/me was read. The next attempt adopts it.
                if attempt.is_last or not _is_stored_now(change, opened):
                    raise
        raise AssertionError  # the last attempt raises


def _proves_absence(change: CredentialChange, key_set: KeySet, opened: UnlockedAccount) -> bool:
    """Check whether the server will reject the change from now on, because its profile is newer.

    :raises PinMismatch: the server now shows another account key.
    """
    shown = opened.refresh_profile()  # opening it proves its revision
    newer = shown.revision >= change.account.key_set.profile.revision
    return newer and change.is_over(key_set)


def _is_stored_now(change: CredentialChange, opened: UnlockedAccount) -> bool:
    account_id, key_set = key_set_of(opened.session.send("GET", "/auth/me"))
    return account_id == opened.account_id and change.is_in(key_set)


def _is_outdated(opened: UnlockedAccount) -> bool:
    known = opened.store.account()
    return known is not None and known.key_set.epoch != opened.known.key_set.epoch


def check_stored(change: CredentialChange, key_set: KeySet, session: Session) -> None:
    """Check that the server stored all that was sent, before the old credentials are deleted.

    :raises AnswerInvalid: identity keys or profile differ from those that were sent.
    :raises StateMismatch: the keys of a vault differ from those that were sent.
    """
    ours = change.account.key_set
    if key_set.identity != ours.identity:
        raise AnswerInvalid("the server stored other keys of the account than were sent")
    if key_set.profile.revision < ours.profile.revision or (
        key_set.profile.revision == ours.profile.revision
        and key_set.profile.sealed != ours.profile.sealed
    ):
        raise AnswerInvalid("the server stored another profile than was sent")
    if change.wraps is None:
        return
    for each in ask_list(session):
        fields = Fields(each, "vault", AnswerInvalid)
        vault_id = fields.uuid("id")
        shown = read_wraps(fields, vault_id)
        sent = change.wraps.get(vault_id, {})
        if any(shown.get(generation) != sealed for generation, sealed in sent.items()):
            raise StateMismatch(
                f"The server stored other keys of vault {vault_id} than this device sent with the "
                "new master password.",
                vault_id=vault_id,
            )


def adopt(store: Store, change: CredentialChange, session: Mapping[str, bytes | None]) -> None:
    """Write the stored change to the folder, all files together; delete the old wrap.

    :param session: the session's file, if it changes, which happens only with a new account key.
    """
    with store.folder.locked():
        others: dict[str, bytes | None] = {pending_change.FILE: None, **session}
        if change.wraps is not None:
            others |= dict.fromkeys(store.unsent())
            wraps = rewrapped_keys.encode(change.wraps)
            others[rewrapped_keys.FILE] = store.folder.signed(rewrapped_keys.FILE, wraps)
        device = store.device()
        # A login after the change was sent knows the current email address.
        email = device.email or change.email
        device = replace(device, email=email, pins=change.pins, waiting=())
        store.keep_signed_in(device, change.account, secret_key=change.secret_key, others=others)
