"""Verify an account's archive with the account's keys, and open its content.

The server wrote the archive, so it is verified like the server's responses: the log of each vault
from its first entry to its head, including the head in the profile, and all contents against the
log.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Final
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import (
    VaultKeys,
    derive_root,
    kek,
    open_account_key,
    open_identity,
    wrap_key,
)
from vaultr.client.crypto.seal import open_sealed
from vaultr.client.errors import IntegrityError, SealBroken, UnsafeParameters
from vaultr.client.exports.archive_lines import ArchiveInvalid, Record, RecordInvalid, records
from vaultr.client.exports.archive_vaults import ArchivedVault, VaultCheck
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.pins import Derivation, read_prelogin
from vaultr.client.storage.profile import Deleted, Profile, open_profile
from vaultr.client.strict_json import Fields, Json
from vaultr.client.vaults.plaintext import object_in
from vaultr.client.vaults.reader import Item
from vaultr.client.vaults.sync import VaultKeyring
from vaultr.client.vaults.write_intents import PARTS
from vaultr.protocol.encoding import unb64
from vaultr.protocol.entries import item_content

_NEEDED: Final = ("account", "key_set")


@dataclass(frozen=True, slots=True)
class ArchivedAccount:
    """The account in an archive: the inputs of its key derivation, and its sealed keys."""

    derivation: Derivation
    key_set: KeySet

    def open(self, password: str, secret_key: bytes | None) -> bytes:
        """Return the key that opens the account's other keys (AK_wrap).

        :raises ArchiveInvalid: the master password or the secret key is wrong.
        :raises UnsafeParameters: the KDF parameters are out of bounds; nothing was derived.
        """
        inputs, keys = self.derivation, self.key_set
        root = derive_root(password, inputs.salt, inputs.kdf, secret_key)
        derived = kek(root, inputs.account_id)
        place = (inputs.account_id, keys.epoch, inputs.kdf, inputs.salt)
        try:
            return wrap_key(open_account_key(derived, *place, keys.account_key))
        except SealBroken:
            raise ArchiveInvalid(
                "The master password or the secret key does not open this archive. It needs those"
                " that the account had when it was exported."
            ) from None

    def check_identity(self, wrap: bytes) -> None:
        """Check that the identity keys can be opened.

        :raises SealBroken: one of them cannot be opened, or does not match its public key.
        """
        for kind, (public, sealed) in self.key_set.identity.items():
            open_identity(wrap, self.derivation.account_id, kind, public, sealed)


@dataclass(frozen=True, slots=True)
class VerifiedArchive:
    """The result of verifying an archive.

    :ivar vaults: the verified state of each vault, by id.
    """

    account: ArchivedAccount
    wrap: bytes = field(repr=False)
    vaults: Mapping[UUID, ArchivedVault] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ArchivedVersion:
    """An earlier content of an item, opened."""

    item_id: UUID
    revision: int
    type: str
    overview: dict[str, Any] = field(repr=False)
    detail: dict[str, Any] = field(repr=False)


def read_account(file: BinaryIO) -> ArchivedAccount:
    """Read the account of an archive, unverified, in order to ask for its keys."""
    file.seek(0)
    found: dict[str, Json] = {}
    for record in records(file):
        if record.kind not in _NEEDED:
            break
        found[record.kind] = record.value
    return _account(found)


def _account(found: Mapping[str, Json]) -> ArchivedAccount:
    try:
        account = Fields(found.get("account"), "account", RecordInvalid)
        inputs = {name: account.raw().get(name) for name in ("auth_scheme", "kdf", "salt")}
        derivation = read_prelogin(inputs | {"account_id": account.raw().get("id")})
        key_set = KeySet.read(Fields(found["key_set"], "key_set", ValueError))
    except UnsafeParameters:
        raise
    except (IntegrityError, KeyError, ValueError):
        raise ArchiveInvalid("The account or its key set in the archive is malformed.") from None
    return ArchivedAccount(derivation, key_set)


def verify(file: BinaryIO, wrap: bytes, *, newest: Profile | None = None) -> VerifiedArchive:
    """Verify a whole archive; do not keep its contents in memory.

    :param wrap: the key that opens the account's other keys.
    :param newest: the newest known profile; by default, the one in the archive.
    :raises ArchiveInvalid: it is malformed, or some content does not match the logs of its vaults.
    """
    file.seek(0)
    found: dict[str, Json] = {}
    vaults: dict[UUID, ArchivedVault] = {}
    check: VaultCheck | None = None
    profile: Profile | None = newest
    keyring: VaultKeyring | None = None
    account: ArchivedAccount | None = None
    for record in records(file):
        with _LineErrors(record):
            if record.kind in _NEEDED:
                found[record.kind] = record.value
            if record.kind == "key_set":
                account = _account(found)
                keyring = VaultKeyring(wrap, account.derivation.account_id)
                account.check_identity(wrap)
                profile = newest or _profile(account, wrap)
            elif record.kind == "vault" and keyring is not None and profile is not None:
                check = VaultCheck.begin(record.value, keyring, profile)
                if check.vault_id in vaults:
                    raise ArchiveInvalid(f"The archive has vault {check.vault_id} twice.")
            elif record.kind == "end" and check is not None:
                vaults[check.vault_id] = check.finished()
            elif record.kind in ("item", "version", "entry") and check is not None:
                check.take(record)
    if account is None or profile is None:
        raise ArchiveInvalid("The archive has no account.")
    _check_complete(profile, vaults)
    return VerifiedArchive(account, wrap, vaults)


class _LineErrors:
    """Converts a failed check to an error with the line of the archive."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IntegrityError):
            raise ArchiveInvalid(f"Line {self._record.line} of the archive: {error}") from error


def _profile(account: ArchivedAccount, wrap: bytes) -> Profile:
    stored = account.key_set.profile
    return open_profile(wrap, account.derivation.account_id, stored.revision, stored.sealed)


def _check_complete(profile: Profile, vaults: Mapping[UUID, object]) -> None:
    for vault_id, known in profile.vaults.items():
        if not isinstance(known, Deleted) and vault_id not in vaults:
            raise ArchiveInvalid(
                f"The archive lacks vault {vault_id}, which the account's devices have seen."
            )


def opened(
    file: BinaryIO, archive: VerifiedArchive
) -> Iterator[tuple[ArchivedVault, str, "Item | ArchivedVersion"]]:
    """Yield the items and versions of a verified archive, each with its vault and the vault's name.

    :raises ArchiveInvalid: the file has changed since it was verified, or some content cannot be
        opened.
    """
    file.seek(0)
    vault, name = None, ""
    for record in records(file):
        if record.kind == "vault":
            vault = archive.vaults[UUID(record.value["id"])]
            name = vault.name(record.value)
        elif record.kind in ("item", "version") and vault is not None:
            try:
                yield vault, name, _opened(vault, record)
            except (SealBroken, KeyError, ValueError) as error:
                raise ArchiveInvalid(
                    f"Line {record.line} of the archive cannot be opened."
                ) from error


def _opened(vault: ArchivedVault, record: Record) -> "Item | ArchivedVersion":
    value, is_item = record.value, record.kind == "item"
    item_id = UUID(value["id" if is_item else "item_id"])
    generation = value["generation"]
    sealed = [unb64(value[part]) for part in ("overview", "detail")]
    content = item_content(value["type"], generation, *sealed)
    revision = value["content_revision" if is_item else "revision"]
    if vault.contents.get((item_id, revision)) != content:
        raise ArchiveInvalid("The archive changed while Vaultr was reading it. Try again.")
    keys: VaultKeys = vault.keys[generation]
    parts = []
    for part, data in zip(PARTS, sealed, strict=True):
        bound = aad.item(vault.vault_id, item_id, part, value["type"], revision, generation)
        what = f"the {part} of item {item_id}"
        parts.append(object_in(open_sealed(keys.vk, bound, data, what), what))
    if not is_item:
        return ArchivedVersion(item_id, revision, value["type"], *parts)
    return Item(
        id=item_id,
        vault_id=vault.vault_id,
        type=value["type"],
        revision=value["revision"],
        content_revision=revision,
        state=value["state"],
        created_at=datetime.fromisoformat(value["created_at"]),
        updated_at=datetime.fromisoformat(value["updated_at"]),
        overview=parts[0],
        detail=parts[1],
    )
