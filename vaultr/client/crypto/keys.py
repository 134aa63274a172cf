"""The keys of an account and its vaults: derivation, generation, wrapping and unwrapping."""

import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vaultr.client.crypto import aad, primitives
from vaultr.client.crypto.primitives import KEY_BYTES
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import SealBroken, StateMismatch, UnsafeParameters, UsageError
from vaultr.protocol.encoding import b64, lp, unb64_exactly
from vaultr.protocol.kdf import Kdf, UnsafeKdf, check_kdf, check_salt

_NO_SECRET_KEY: Final = bytes(KEY_BYTES)
_CODE_DIGITS: Final = 8
# 32 bytes in base64url without padding.
_SECRET_KEY_CHARACTERS: Final = 43
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
_KINDS: Final[tuple[aad.IdentityKind, ...]] = ("x25519", "ed25519")


def derive_root(password: str, salt: bytes, kdf: Kdf, secret_key: bytes | None) -> bytes:
    """Return the 32-byte root key from which the account's other keys are derived.

    It is never sent and never stored. ``Kdf.RECOMMENDED`` takes 64 MiB and a few tenths of a
    second.

    :param salt: 32 random bytes, generated when the account was created.
    :raises UnsafeParameters: the parameters or the salt are outside the bounds compiled into this
        client, for example because the server is hostile. The password was not used.

    Source: RFC 9106 (Argon2id, version 0x13); RFC 5869 for what follows.
    """
    try:
        check_kdf(kdf)
        check_salt(salt)
    except UnsafeKdf as error:
        raise UnsafeParameters(
            f"The server's settings for the password are unsafe: {error}. "
            "The password was not used."
        ) from None
    if secret_key is not None and len(secret_key) != KEY_BYTES:
        raise ValueError(f"a secret key has {KEY_BYTES} bytes")
    stretched = primitives.argon2id(_password_bytes(password), salt, kdf)
    return primitives.hkdf(stretched, secret_key or _NO_SECRET_KEY, b"vaultr/v1/root", KEY_BYTES)


def export_key(password: str, salt: bytes, kdf: Kdf) -> bytes:
    """Derive the key that seals an export file from the file's own password.

    The caller checks ``kdf`` and ``salt``.
    """
    stretched = primitives.argon2id(_password_bytes(password), salt, kdf)
    return primitives.hkdf(stretched, bytes(KEY_BYTES), b"vaultr/v1/export", KEY_BYTES)


def _password_bytes(password: str) -> bytes:
    try:
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        raise UsageError("The password contains characters that UTF-8 cannot encode.") from None


def auth_key(root: bytes, account_id: UUID) -> bytes:
    """Derive the key that proves the password to the server; the only key that is sent."""
    return primitives.hkdf_expand(root, lp("vaultr/v1/auth", account_id), KEY_BYTES)


def kek(root: bytes, account_id: UUID) -> bytes:
    """Derive the key that seals the account key; it never leaves the client."""
    return primitives.hkdf_expand(root, lp("vaultr/v1/kek", account_id), KEY_BYTES)


def new_account_key() -> bytes:
    """Return a new random account key."""
    return secrets.token_bytes(KEY_BYTES)


def wrap_key(account_key: bytes) -> bytes:
    """Derive the key that seals the account's other keys (AK_wrap)."""
    return primitives.hkdf_expand(account_key, lp("vaultr/v1/ak", "wrap"), KEY_BYTES)


def seal_account_key(
    account_kek: bytes, account_id: UUID, epoch: int, kdf: Kdf, salt: bytes, account_key: bytes
) -> bytes:
    """Seal the account key, bound to the inputs from which its kek was derived."""
    return seal(account_kek, aad.account_key(account_id, epoch, kdf, salt), account_key)


def open_account_key(
    account_kek: bytes, account_id: UUID, epoch: int, kdf: Kdf, salt: bytes, sealed: bytes
) -> bytes:
    """Open the account key.

    :raises SealBroken: the password, account, epoch, parameters or salt differ.
    """
    bound = aad.account_key(account_id, epoch, kdf, salt)
    return _sized(open_sealed(account_kek, bound, sealed, "the account key"), KEY_BYTES)


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """One key pair of the account; the server stores the sealed private half."""

    public: bytes
    sealed: bytes
    private: bytes = field(repr=False)

    def to_json(self) -> dict[str, str]:
        """Return the members that the server stores."""
        return {"public": b64(self.public), "sealed": b64(self.sealed)}


def new_identity(wrap: bytes, account_id: UUID) -> dict[aad.IdentityKind, IdentityKey]:
    """Generate the account's two key pairs, and seal them under AK_wrap."""
    pairs = {"x25519": primitives.x25519_new(), "ed25519": primitives.ed25519_new()}
    identity: dict[aad.IdentityKind, IdentityKey] = {}
    for kind in _KINDS:
        private, public = pairs[kind]
        sealed = seal_identity(wrap, account_id, kind, public, private)
        identity[kind] = IdentityKey(public=public, sealed=sealed, private=private)
    return identity


def seal_identity(
    wrap: bytes, account_id: UUID, kind: aad.IdentityKind, public: bytes, private: bytes
) -> bytes:
    """Seal a private identity key under AK_wrap, bound to its public half."""
    return seal(wrap, aad.identity(kind, account_id, public), private)


def open_identity(
    wrap: bytes, account_id: UUID, kind: aad.IdentityKind, public: bytes, sealed: bytes
) -> bytes:
    """Open a private identity key, and check that it belongs to ``public``.

    :raises SealBroken: the account, the kind or the public half differs.
    """
    bound = aad.identity(kind, account_id, public)
    private = _sized(open_sealed(wrap, bound, sealed, f"the {kind} identity key"), KEY_BYTES)
    derive = primitives.x25519_public if kind == "x25519" else primitives.ed25519_public
    if derive(private) != public:
        raise SealBroken("An identity key of the account is not the other half of its public key.")
    return private


@dataclass(frozen=True, slots=True)
class VaultKeys:
    """The two keys of one generation of a vault: ``vk`` seals items, ``lk`` keys the log."""

    vk: bytes = field(repr=False)
    lk: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "VaultKeys":
        """Return the random keys of a new generation."""
        return cls(vk=secrets.token_bytes(KEY_BYTES), lk=secrets.token_bytes(KEY_BYTES))

    def wrap(self, wrap: bytes, account_id: UUID, vault_id: UUID, generation: int) -> bytes:
        """Seal both keys under AK_wrap."""
        return seal(wrap, aad.vault_key(account_id, vault_id, generation), self.vk + self.lk)

    @classmethod
    def unwrap(
        cls, wrap: bytes, account_id: UUID, vault_id: UUID, generation: int, sealed: bytes
    ) -> "VaultKeys":
        """Open what :meth:`wrap` returned.

        :raises SealBroken: the account, vault or generation differs.
        """
        bound = aad.vault_key(account_id, vault_id, generation)
        what = f"version {generation} of the keys of vault {vault_id}"
        both = _sized(open_sealed(wrap, bound, sealed, what), 2 * KEY_BYTES)
        return cls(vk=both[:KEY_BYTES], lk=both[KEY_BYTES:])


Keys = Mapping[int, VaultKeys]


def vk_of(keys: Keys, generation: int, vault_id: UUID) -> bytes:
    """Return the sealing key (VK) of one generation.

    :raises StateMismatch: the server did not return its wrap.
    """
    return _keys_of(keys, generation, vault_id).vk


def lk_of(keys: Keys, generation: int, vault_id: UUID) -> bytes:
    """Return the log key (LK) of one generation.

    :raises StateMismatch: the server did not return its wrap.
    """
    return _keys_of(keys, generation, vault_id).lk


def _keys_of(keys: Keys, generation: int, vault_id: UUID) -> VaultKeys:
    if generation not in keys:
        raise StateMismatch(
            f"The server withholds keys of vault {vault_id}: it did not return version "
            f"{generation} of them, which the vault uses.",
            vault_id=vault_id,
        )
    return keys[generation]


def open_wraps(
    wrap: bytes,
    account_id: UUID,
    vault_id: UUID,
    wraps: Mapping[int, bytes],
    held: Mapping[int, VaultKeys] | None = None,
) -> dict[int, VaultKeys]:
    """Open the wraps of all generations of a vault, and add them to the keys in ``held``.

    :raises StateMismatch: the server shows other keys for a generation than those in ``held``, or
        two generations have the same key.
    :raises SealBroken: a wrap does not open.
    """
    unwrapped = {
        generation: VaultKeys.unwrap(wrap, account_id, vault_id, generation, sealed)
        for generation, sealed in wraps.items()
    }
    return merge_keys(vault_id, unwrapped, held)


def merge_keys(
    vault_id: UUID,
    unwrapped: Mapping[int, VaultKeys],
    held: Mapping[int, VaultKeys] | None = None,
) -> dict[int, VaultKeys]:
    """Add ``unwrapped`` keys of a vault to the keys in ``held``.

    :raises StateMismatch: see :func:`open_wraps`.
    """
    opened = dict(held or {})
    for generation, keys in unwrapped.items():
        if opened.setdefault(generation, keys) != keys:
            raise StateMismatch(
                f"The server returned other keys of vault {vault_id} than before: version "
                f"{generation} differs.",
                vault_id=vault_id,
            )
    # Otherwise somebody who should be locked out by a rotation would know the new key.
    if len({key for keys in opened.values() for key in (keys.vk, keys.lk)}) < 2 * len(opened):
        raise StateMismatch(
            f"The server returned an old key of vault {vault_id} again as a new one.",
            vault_id=vault_id,
        )
    return opened


def seal_machine_kek(wrap: bytes, account_id: UUID, machine_id: UUID, kek: bytes) -> bytes:
    """Seal a machine's key for its owner."""
    return seal(wrap, aad.machine_kek(account_id, machine_id), kek)


def open_machine_kek(wrap: bytes, account_id: UUID, machine_id: UUID, sealed: bytes) -> bytes:
    """Open what :func:`seal_machine_kek` returned.

    :raises SealBroken: the account or machine differs.
    """
    bound = aad.machine_kek(account_id, machine_id)
    return _sized(open_sealed(wrap, bound, sealed, f"the key of machine {machine_id}"), KEY_BYTES)


def new_secret_key() -> bytes:
    """Return a new random secret key, without which a stolen database does not allow guessing."""
    return secrets.token_bytes(KEY_BYTES)


def secret_key_text(secret_key: bytes) -> str:
    """Return a secret key as text for its owner: base64url without padding."""
    return b64(secret_key)


def secret_key_bytes(text: str) -> bytes:
    """Return the secret key from its text, ignoring white space.

    :raises ValueError: it is not base64url of 32 bytes; the message does not repeat it.
    """
    plain = "".join(text.split())
    try:
        return unb64_exactly(plain, KEY_BYTES)
    except ValueError:
        raise ValueError(_secret_key_error(plain)) from None


def _secret_key_error(plain: str) -> str:
    if len(plain) != _SECRET_KEY_CHARACTERS:
        return f"it has {len(plain)} characters, but a secret key has {_SECRET_KEY_CHARACTERS}"
    if not _BASE64URL.fullmatch(plain):
        return "a secret key has only letters and digits without accents, - and _"
    return "its last character is not possible there"


def account_code(account_id: UUID) -> str:
    """Return the 8 hex digits that both the signup screen and the signup email show."""
    return primitives.sha256(account_id.bytes).hex()[:_CODE_DIGITS]


def _sized(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise SealBroken("An encrypted key has the wrong size.")
    return data
