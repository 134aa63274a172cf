"""Machine tokens, the two keys derived from each, and the wraps that only a machine can open.

Source: protocol.md, sections 3 and 4.
"""

import re
import secrets
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from vaultr.client.crypto import aad, primitives
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.crypto.primitives import KEY_BYTES
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import SealBroken, UsageError
from vaultr.protocol.encoding import ID_PATTERN, b64, lp, unb64_exactly

TOKEN_PREFIX: Final = "vmt_"
_BEARER_PREFIX: Final = "vma_"
_TOKEN: Final = re.compile(rf"{TOKEN_PREFIX}({ID_PATTERN})_([A-Za-z0-9_-]{{43}})")
_LIKE_TOKEN: Final = re.compile(rf"{TOKEN_PREFIX}{ID_PATTERN}_[A-Za-z0-9_-]{{8}}")
_ZEROS: Final = bytes(KEY_BYTES)
_REVISION_BYTES: Final = 8
_HEAD_BYTES: Final = 32
_WRAPPED_BYTES: Final = 2 * KEY_BYTES + _REVISION_BYTES + _HEAD_BYTES


@dataclass(frozen=True, slots=True)
class MachineToken:
    """A machine's token: 32 random bytes, shown once and never sent."""

    machine_id: UUID
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, machine_id: UUID | None = None) -> "MachineToken":
        """Return a new token, by default for a new machine."""
        return cls(machine_id or uuid4(), secrets.token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> "MachineToken":
        """Return a token from its text.

        :raises UsageError: it is not a machine token; the message does not repeat it.
        """
        match = _TOKEN.fullmatch(text.strip())
        try:
            secret = unb64_exactly(match[2], KEY_BYTES) if match else b""
        except ValueError:
            secret = b""
        if match is None or not secret:
            raise UsageError(
                f"This is not a machine token, which begins with {TOKEN_PREFIX} and an id: it may"
                " have been cut off. Get a new one: vaultr machines token NAME"
            )
        return cls(UUID(match[1]), secret)

    @property
    def text(self) -> str:
        """The token as its user stores it."""
        return f"{TOKEN_PREFIX}{self.machine_id}_{b64(self.secret)}"

    @property
    def auth_key(self) -> bytes:
        """The key that proves the token to the server (machine_auth)."""
        info = lp("vaultr/v1/machine-auth", self.machine_id)
        return primitives.hkdf(self.secret, _ZEROS, info, KEY_BYTES)

    @property
    def kek(self) -> bytes:
        """The key that opens the machine's wraps (machine_kek); it is never sent."""
        info = lp("vaultr/v1/machine-kek", self.machine_id)
        return primitives.hkdf(self.secret, _ZEROS, info, KEY_BYTES)

    @property
    def bearer(self) -> str:
        """The credential that requests carry."""
        return f"{_BEARER_PREFIX}{self.machine_id}_{b64(self.auth_key)}"


def holds_token(text: str) -> bool:
    """Check whether a text contains a machine token, or most of one."""
    return _LIKE_TOKEN.search(text) is not None


@dataclass(frozen=True, slots=True)
class MachineKeys:
    """The keys of one generation of a vault, and its revision and head when they were wrapped."""

    keys: VaultKeys
    n: int
    head: bytes


def wrap_for_machine(
    kek: bytes, machine_id: UUID, vault_id: UUID, generation: int, wrapped: MachineKeys
) -> bytes:
    """Seal a vault's keys and head for a machine."""
    keys = wrapped.keys
    plain = keys.vk + keys.lk + wrapped.n.to_bytes(_REVISION_BYTES) + wrapped.head
    return seal(kek, aad.machine_vault(machine_id, vault_id, generation), plain)


def unwrap_for_machine(
    kek: bytes, machine_id: UUID, vault_id: UUID, generation: int, sealed: bytes
) -> MachineKeys:
    """Open what :func:`wrap_for_machine` returned.

    :raises SealBroken: the machine, vault or generation differs, or the token was replaced.
    """
    bound = aad.machine_vault(machine_id, vault_id, generation)
    what = f"this machine's version {generation} of the keys of vault {vault_id}"
    plain = open_sealed(kek, bound, sealed, what)
    if len(plain) != _WRAPPED_BYTES:
        raise SealBroken("An encrypted key has the wrong size.")
    vk, lk = plain[:KEY_BYTES], plain[KEY_BYTES : 2 * KEY_BYTES]
    n = int.from_bytes(plain[2 * KEY_BYTES : -_HEAD_BYTES])
    return MachineKeys(VaultKeys(vk=vk, lk=lk), n, plain[-_HEAD_BYTES:])
