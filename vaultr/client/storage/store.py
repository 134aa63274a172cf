"""The values in the client's folder: device, account, secret keys, cache, unfinished work."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from vaultr.client.errors import IntegrityError
from vaultr.client.storage import secret_keys
from vaultr.client.storage.cache import Cache
from vaultr.client.storage.device import Device, KnownAccount
from vaultr.client.storage.pins import AUTH_SCHEME, read_prelogin
from vaultr.client.storage.private_folder import ACCOUNT_FILE, DEVICE_FILE, Folder
from vaultr.client.strict_json import Fields, Json

_ASIDE: Final = "aside"
_SEEN: Final = "explained.json"
_MOVE: Final = "move.json"
_REJECTED: Final = "rejected-profile.json"
_MADE_VAULT: Final = "made-vault.json"
_NEW_KEYS: Final = "new-keys-"


class Store:
    """The files of a device, by their meaning."""

    def __init__(self, home: Path) -> None:
        self.folder = Folder(home)
        self.cache = Cache(self.folder)
        # The vaults before the owner accepted another state of the server.
        self.aside = Cache(self.folder, _ASIDE)

    def device(self) -> Device:
        """Return this device; for a new folder, a new one that is not stored yet."""
        value = self.folder.read_json(DEVICE_FILE)
        if value is None:
            return Device.new()
        try:
            return Device.from_json(value)
        except (KeyError, TypeError, ValueError, IntegrityError):
            raise self.folder.altered(DEVICE_FILE) from None

    def keep_device(self, device: Device) -> None:
        """Write this device."""
        self._write(DEVICE_FILE, device.to_json())

    def account(self) -> KnownAccount | None:
        """Return the account as last seen; None before the first login."""
        value = self.folder.read_json(ACCOUNT_FILE)
        if value is None:
            return None
        try:
            derivation = read_prelogin(value | {"auth_scheme": AUTH_SCHEME})
            return KnownAccount.read(Fields(value, ACCOUNT_FILE, ValueError), derivation)
        except (KeyError, TypeError, ValueError, IntegrityError):
            raise self.folder.altered(ACCOUNT_FILE) from None

    def keep_account(self, account: KnownAccount) -> None:
        """Write the account."""
        self._write(ACCOUNT_FILE, account.to_json())

    def keep_signed_in(
        self,
        device: Device,
        account: KnownAccount,
        *,
        secret_key: bytes | None = None,
        others: Mapping[str, bytes | None],
    ) -> None:
        """Write all files of a login or a change of the password together.

        :param others: more files, each with its content, or None to delete it.
        """
        values = {
            DEVICE_FILE: _encoded(device.to_json()),
            ACCOUNT_FILE: _encoded(account.to_json()),
        }
        before = None
        if secret_key is not None:
            account_id = account.derivation.account_id
            before = self.folder.read_signed(_secret_key_file(account_id))
            values[_secret_key_file(account_id)] = secret_keys.store(account_id, secret_key)
        signed = {name: self.folder.signed(name, value) for name, value in values.items()}
        self.folder.write_together({**signed, **others})
        if before not in values.values():
            secret_keys.forget(before)

    def unsent(self) -> list[str]:
        """List the files with wraps for a retry; they are valid under one account key only."""
        names = self.folder.names(".")
        return [name for name in names if name == _MADE_VAULT or name.startswith(_NEW_KEYS)]

    def secret_key(self, account_id: UUID) -> bytes | None:
        """Return the secret key of an account; None if this device does not have it."""
        name = _secret_key_file(account_id)
        text = self.folder.read_signed(name)
        try:
            return None if text is None else secret_keys.read(text)
        except ValueError:
            raise self.folder.altered(name) from None

    def keep_secret_key(self, account_id: UUID, secret_key: bytes) -> None:
        """Store the secret key of an account in the keyring, or in its own file."""
        content = secret_keys.store(account_id, secret_key)
        self.folder.write_signed(_secret_key_file(account_id), content)

    def forget_secret_key(self, account_id: UUID) -> None:
        """Delete the secret key of an account that was not created."""
        name = _secret_key_file(account_id)
        before = self.folder.read_signed(name)
        self.folder.remove(name)
        secret_keys.forget(before)

    def secret_key_place(self, account_id: UUID) -> str | None:
        """Return where the secret key of an account is stored; None if it is not here."""
        name = _secret_key_file(account_id)
        data = self.folder.read_signed(name)
        if data is None:
            return None
        return "the keyring" if secret_keys.in_keyring(data) else str(self.folder.path / name)

    def made_vault(self) -> Json | None:
        """Return a new vault that may not have reached the server."""
        return self.folder.read_json(_MADE_VAULT)

    def keep_made_vault(self, vault: Json) -> None:
        """Write a new vault before it is sent: a retry sends the same wraps."""
        self._write(_MADE_VAULT, vault)

    def forget_made_vault(self) -> None:
        """Delete it, when the vault exists and is in the profile."""
        self.folder.remove(_MADE_VAULT)

    def new_keys(self, vault_id: UUID) -> Json | None:
        """Return the wrap of a new generation that may not have reached the server."""
        return self.folder.read_json(_new_keys_file(vault_id))

    def keep_new_keys(self, vault_id: UUID, wrap: Json) -> None:
        """Write the wrap of a new generation before it is sent: a retry sends the same."""
        self._write(_new_keys_file(vault_id), wrap)

    def forget_new_keys(self, vault_id: UUID) -> None:
        """Delete it, when the vault shows whether the generation began."""
        self.folder.remove(_new_keys_file(vault_id))

    def seen(self) -> Json | None:
        """Return the server's state when its differences were last listed."""
        return self.folder.read_json(_SEEN)

    def keep_seen(self, seen: Json) -> None:
        """Write the server's state, when its differences are listed."""
        self._write(_SEEN, seen)

    def forget_seen(self) -> None:
        """Delete it, when it is accepted."""
        self.folder.remove(_SEEN)

    def rejected_profile(self) -> int:
        """Return the highest profile revision that was sent but is not known to be stored; or 0."""
        value = self.folder.read_json(_REJECTED)
        revision = 0 if value is None else value.get("revision")
        return revision if isinstance(revision, int) else 0

    def keep_rejected_profile(self, revision: int) -> None:
        """Store the revision of a signed profile that the server could show later."""
        self._write(_REJECTED, {"revision": revision})

    def forget_rejected_profile(self) -> None:
        """Delete it, when the server has stored another profile of that revision or a later one."""
        self.folder.remove(_REJECTED)

    def move(self) -> Json | None:
        """Return the unfinished move between vaults."""
        return self.folder.read_json(_MOVE)

    def keep_move(self, move: Json) -> None:
        """Write a move before it begins."""
        self._write(_MOVE, move)

    def forget_move(self) -> None:
        """Delete it, when every item is in one vault only."""
        self.folder.remove(_MOVE)

    def _write(self, name: str, value: Json) -> None:
        self.folder.write_signed(name, _encoded(value))


def _new_keys_file(vault_id: UUID) -> str:
    return f"{_NEW_KEYS}{vault_id}.json"


def _encoded(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _secret_key_file(account_id: UUID) -> str:
    return f"secret-{account_id}.key"
