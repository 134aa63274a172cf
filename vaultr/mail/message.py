"""An email, and its form in the outbox: sealed under MAIL_KEY together with its recipient."""

import contextlib
import hmac
import json
from dataclasses import asdict, dataclass
from uuid import UUID

from vaultr.security import keyring

_HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Email:
    """The content of an email, as text and as HTML.

    :param kind: its kind, such as ``verify-email``; not secret.
    :param notice: whether it is a security notice to an account's owner.
    """

    kind: str
    subject: str
    text: str
    html: str
    notice: bool = False


def recipient_hashes(to: str) -> list[bytes]:
    """Return a recipient's hashes under each MAIL_KEY, starting with the first key.

    Limits count emails by these hashes. They hash the address as the mail server sees it, with the
    domain in IDNA form. Without the key a hash reveals nothing.
    """
    local, _, domain = to.strip().lower().rpartition("@")
    with contextlib.suppress(UnicodeError):  # sending such an address fails later
        domain = domain.encode("idna").decode()
    address = f"{local}@{domain}".encode()
    return [
        hmac.digest(key, address, "sha256")[:_HASH_BYTES]
        for key in keyring.current().mail.all_derived("recipient")
    ]


def seal(mail_id: UUID, email: Email, to: str, *, decoy: bool = False) -> bytes:
    """Seal an email with its recipient; it opens only in the row ``mail_id``.

    :param decoy: store spaces of the recipient's length instead of the recipient.
    """
    to = " " * len(to) if decoy else to
    return keyring.current().mail.seal(_purpose(mail_id), json.dumps([to, asdict(email)]).encode())


def unseal(mail_id: UUID, sealed: bytes) -> tuple[str, Email]:
    """Return recipient and email. If the recipient is blank, nothing is sent.

    :raises CannotOpen: the key is missing, or the row was changed.
    """
    to, email = json.loads(keyring.current().mail.open(_purpose(mail_id), sealed))
    return to, Email(**email)


def _purpose(mail_id: UUID) -> str:
    return f"mail:{mail_id}"
