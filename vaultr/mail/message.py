"""A letter, and how it lies in the outbox: with its recipient, sealed under MAIL_KEY."""

import hmac
import json
from dataclasses import asdict, dataclass
from uuid import UUID

from vaultr.security import keyring

_HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says, as text with its HTML twin.

    :param kind: a word for it, such as ``verify-email``; it is not secret.
    :param notice: it tells an owner of something that concerns the account's security.
    """

    kind: str
    subject: str
    text: str
    html: str
    notice: bool = False


def recipient_hashes(to: str) -> list[bytes]:
    """Give that by which a recipient's mails are counted, under each MAIL_KEY, the first one first.

    Without the key a hash tells nothing.
    """
    address = to.strip().lower().encode()
    return [
        hmac.digest(key, address, "sha256")[:_HASH_BYTES]
        for key in keyring.current().mail.all_derived("recipient")
    ]


def seal(mail_id: UUID, letter: Letter, to: str, *, pretend: bool = False) -> bytes:
    """Seal a letter with its recipient; it opens in the row ``mail_id`` only.

    :param pretend: blanks stand in the recipient's place, as many as the address is long.
    """
    to = " " * len(to) if pretend else to
    return keyring.current().mail.seal(_purpose(mail_id), json.dumps([to, asdict(letter)]).encode())


def unseal(mail_id: UUID, sealed: bytes) -> tuple[str, Letter]:
    """Give recipient and letter; blanks are nobody, to whom nothing is to be sent.

    :raises CannotOpen: the key is gone, or the row was changed.
    """
    to, letter = json.loads(keyring.current().mail.open(_purpose(mail_id), sealed))
    return to, Letter(**letter)


def _purpose(mail_id: UUID) -> str:
    return f"mail:{mail_id}"
