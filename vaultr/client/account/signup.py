"""Sign up: generate an account, whose keys never leave this client, and pin it."""

import secrets
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from vaultr.client.account.password_policy import check_password
from vaultr.client.crypto import keys
from vaultr.client.errors import Refused, UsageError
from vaultr.client.storage.device import Waiting
from vaultr.client.storage.key_set import SealedProfile
from vaultr.client.storage.pins import AUTH_SCHEME, Derivation, Pins
from vaultr.client.storage.profile import new_profile, seal_profile
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Json
from vaultr.client.transport.http_transport import Transport
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import SALT_BYTES, Kdf

_FIRST_EPOCH: Final = 1


@dataclass(frozen=True, slots=True)
class Signup:
    """The result of a signup.

    :ivar secret_key: shown only once; None if the user wanted none.
    :ivar code: eight digits that the email must show too, so that you confirm only your own
        account.
    :ivar place: where this device stores the secret key: the keyring, or a private file.
    """

    account_id: UUID
    secret_key: bytes | None = field(repr=False)
    code: str
    place: str | None = None


def signup(
    store: Store, transport: Transport, email: str, password: str, *, secret_key: bool
) -> Signup:
    """Generate an account and send it to the server, which keeps it until it is confirmed.

    :raises WeakPassword: the master password is too easy to guess.
    :raises UsageError: this folder already belongs to an account.
    """
    check_password(password, email)
    check_folder_is_free(store)
    derivation = Derivation(uuid4(), Kdf.RECOMMENDED, secrets.token_bytes(SALT_BYTES))
    new_secret_key = keys.new_secret_key() if secret_key else None
    pins = Pins.of(derivation, origin=transport.origin, secret_key=secret_key)
    body = _signup_body(email, derivation, password, new_secret_key, pins)
    # Stored before it is sent: even if the response is lost, the email may arrive.
    with store.folder.locked():
        check_folder_is_free(store)  # another command may have logged in since
        if new_secret_key is not None:
            store.keep_secret_key(derivation.account_id, new_secret_key)
        before = store.device()
        store.keep_device(before.with_waiting(Waiting(email, pins)))
    try:
        transport.send("POST", "/auth/signup", body)
    except Refused:
        # The server rejected the signup, so no email will arrive.
        with store.folder.locked():
            store.keep_device(store.device().without_waiting(derivation.account_id, before.waiting))
            store.forget_secret_key(derivation.account_id)
        raise
    return Signup(
        account_id=derivation.account_id,
        secret_key=new_secret_key,
        code=keys.account_code(derivation.account_id),
        place=store.secret_key_place(derivation.account_id),
    )


def check_folder_is_free(store: Store) -> None:
    """Check that this folder does not belong to an account yet.

    :raises UsageError: it belongs to one.
    """
    pins = store.device().pins
    if pins is not None:
        raise UsageError(
            f"{store.folder.path} already belongs to account {pins.account_id}. To create another"
            " account, set VAULTR_DIR to another folder."
        )


def _signup_body(
    email: str, derivation: Derivation, password: str, secret_key: bytes | None, pins: Pins
) -> Json:
    account_id, kdf, salt = derivation.account_id, derivation.kdf, derivation.salt
    root = keys.derive_root(password, salt, kdf, secret_key)
    account_key = keys.new_account_key()
    wrap = keys.wrap_key(account_key)
    sealed = keys.seal_account_key(
        keys.kek(root, account_id), account_id, _FIRST_EPOCH, kdf, salt, account_key
    )
    identity = keys.new_identity(wrap, account_id)
    profile = seal_profile(wrap, account_id, new_profile(pins), revision=1)
    return {
        "account_id": str(account_id),
        "email": email,
        "auth_scheme": AUTH_SCHEME,
        "auth_key": b64(keys.auth_key(root, account_id)),
        "kdf": kdf.to_json(),
        "salt": b64(salt),
        "account_key": {"epoch": _FIRST_EPOCH, "sealed": b64(sealed)},
        "identity": {kind: key.to_json() for kind, key in identity.items()},
        "profile": SealedProfile(profile.revision, profile.sealed).to_json(),
    }
