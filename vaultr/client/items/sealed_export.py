"""Seal an export file with its own password, and open it."""

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from vaultr.client.crypto import aad, seal
from vaultr.client.crypto.keys import export_key
from vaultr.client.errors import SealBroken, VaultrError
from vaultr.protocol.kdf import SALT_BYTES, Kdf, UnsafeKdf, check_salt, kdf_of

_VERSION: Final = 1


class NotOpened(VaultrError):
    """A sealed export cannot be opened."""

    exit_code = 1


def seal_file(plain: bytes, password: str) -> dict[str, Any]:
    """Return the sealed export as a JSON object.

    Source: protocol.md section 2 (export_key) and section 4 (row "export file").
    """
    kdf, salt = Kdf.RECOMMENDED, secrets.token_bytes(SALT_BYTES)
    key = export_key(password, salt, kdf)
    sealed = seal.seal(key, aad.export_file(kdf, salt), plain)
    return {
        "vaultr_sealed_export": _VERSION,
        "kdf": kdf.to_json(),
        "salt": base64.b64encode(salt).decode(),
        "sealed": base64.b64encode(sealed).decode(),
    }


def open_file(document: Mapping[str, Any], ask_password: Callable[[], str]) -> bytes:
    """Return the plain export.

    :param ask_password: called once, after the file's KDF parameters passed their check.
    :raises NotOpened: it is damaged, has a newer version, or the password is wrong.
    """
    if document.get("vaultr_sealed_export") != _VERSION:
        raise NotOpened("This sealed export is of a newer version. Update Vaultr, then try again.")
    try:
        kdf = kdf_of(document.get("kdf"))
        salt, sealed = (base64.b64decode(document[name], validate=True)
                        for name in ("salt", "sealed"))  # fmt: skip
        check_salt(salt)
    except UnsafeKdf as error:
        raise NotOpened(f"This sealed export is damaged or hostile: {error}.") from None
    except (KeyError, TypeError, ValueError):
        raise NotOpened("This sealed export is damaged: salt or content is missing.") from None
    key = export_key(ask_password(), salt, kdf)
    try:
        return seal.open_sealed(key, aad.export_file(kdf, salt), sealed)
    except SealBroken:
        raise NotOpened("The password of this export is wrong, or the file was changed.") from None
