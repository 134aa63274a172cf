"""The client's folder by meaning: the device, its account, its secret keys and its cache."""

import json
from pathlib import Path
from typing import Final
from uuid import UUID

from vaultr.client.cache import Cache
from vaultr.client.device import Device, KnownAccount
from vaultr.client.errors import IntegrityError
from vaultr.client.folder import DEVICE_FILE, Folder
from vaultr.client.keys import secret_key_bytes, secret_key_text
from vaultr.client.pins import AUTH_SCHEME, read_prelogin
from vaultr.client.strict import Fields, Json

_ACCOUNT: Final = "account.json"
_MADE_VAULT: Final = "made-vault.json"


class Store:
    """What is kept between commands."""

    def __init__(self, home: Path) -> None:
        self.folder = Folder(home)
        self.cache = Cache(self.folder)

    def device(self) -> Device:
        """Read this device; a new folder gives a new one, which is not kept yet."""
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
        """Read the account as it was last seen; None before the first login."""
        value = self.folder.read_json(_ACCOUNT)
        if value is None:
            return None
        try:
            derivation = read_prelogin(value | {"auth_scheme": AUTH_SCHEME})
            return KnownAccount.read(Fields(value, _ACCOUNT, ValueError), derivation)
        except (KeyError, TypeError, ValueError, IntegrityError):
            raise self.folder.altered(_ACCOUNT) from None

    def keep_account(self, account: KnownAccount) -> None:
        """Write the account."""
        self._write(_ACCOUNT, account.to_json())

    def secret_key(self, account_id: UUID) -> bytes | None:
        """Read the secret key of an account; None when this device has none."""
        name = _secret_key_file(account_id)
        text = self.folder.read_signed(name)
        try:
            return None if text is None else secret_key_bytes(text.decode())
        except ValueError:
            raise self.folder.altered(name) from None

    def keep_secret_key(self, account_id: UUID, secret_key: bytes) -> None:
        """Write the secret key of an account into a file of its own."""
        self.folder.write_signed(
            _secret_key_file(account_id), secret_key_text(secret_key).encode() + b"\n"
        )

    def forget_secret_key(self, account_id: UUID) -> None:
        """Remove the secret key of an account that never came to be."""
        self.folder.remove(_secret_key_file(account_id))

    def made_vault(self) -> Json | None:
        """Read the vault whose making was begun, and may not have reached the server."""
        return self.folder.read_json(_MADE_VAULT)

    def keep_made_vault(self, vault: Json) -> None:
        """Write what is about to be sent to make a vault: a retry sends the same wraps."""
        self._write(_MADE_VAULT, vault)

    def forget_made_vault(self) -> None:
        """Forget it, once the vault and its place in the profile are there."""
        self.folder.remove(_MADE_VAULT)

    def _write(self, name: str, value: Json) -> None:
        self.folder.write_signed(name, json.dumps(value, separators=(",", ":")).encode())


def _secret_key_file(account_id: UUID) -> str:
    return f"secret-{account_id}.key"
