"""A machine's credential: its id, and a key that it derived from its token.

The token itself (``vmt_…``) opens vaults, so it must never be sent. A request that contains one is
rejected with an error that asks its owner to replace it.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vaultr.errors import Unauthenticated
from vaultr.protocol.encoding import ID_PATTERN, unb64
from vaultr.request_context import Actor

PREFIX: Final = "vma_"
TOKEN_PREFIX: Final = "vmt_"

_FORM: Final = re.compile(rf"{PREFIX}({ID_PATTERN})_([A-Za-z0-9_-]{{43}})")
# Matches no part of another credential: a JWT or a machine's key can contain any letters.
_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9_.-]){TOKEN_PREFIX}")


class TokenSent(Unauthenticated):
    """You sent a machine token, which must never leave the client. Replace it now."""

    slug = "unauthenticated"


@dataclass(frozen=True, slots=True)
class MachineProof:
    """The id of a machine, and the SHA-256 of its key; parsed, but not verified."""

    machine_id: UUID
    auth_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MachineActors:
    """Functions that find the actor of a machine.

    :ivar known: returns the actor that this process cached, without a statement. The machine may
        have changed or ended since, so the view's statement must check it.
    :ivar read: reads the actor; returns None if the machine is unknown, expired or locked, or the
        key is wrong.
    """

    known: Callable[[MachineProof], Actor | None]
    read: Callable[[MachineProof], Actor | None]


def parse(credential: str) -> MachineProof | None:
    """Parse a bearer credential; return None if it does not belong to a machine."""
    found = _FORM.fullmatch(credential)
    if found is None:
        return None
    try:
        key = unb64(found[2])
    except ValueError:  # not the canonical form
        return None
    return MachineProof(UUID(found[1]), auth_hash(key))


def auth_hash(auth_key: bytes) -> bytes:
    """Return the stored hash of a machine's key; 32 random bytes need no slow hash."""
    return hashlib.sha256(auth_key).digest()


def is_token(header: str) -> bool:
    """Check whether an Authorization header contains a machine token."""
    return _TOKEN.search(header) is not None
