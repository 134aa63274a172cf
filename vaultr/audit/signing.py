"""The keys that sign checkpoints, and the keys that verify them."""

import json
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.orm import Session

from vaultr.audit import log_name
from vaultr.database.base import Fact
from vaultr.protocol import notes
from vaultr.protocol.notes import Checkpoint, KeyChange, NoteInvalid, VerificationKey
from vaultr.settings.model import current_settings

# The name of a fact: each key with the first tree that it signs, as [[epoch, vkey], …].
_PUBLISHED: Final = "audit/verification-keys"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One Ed25519 key of CHECKPOINT_KEY."""

    public: VerificationKey
    private: Ed25519PrivateKey

    @classmethod
    def of(cls, log: str, seed: bytes) -> "SigningKey":
        """Derive the key from its seed."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(VerificationKey(log, private.public_key().public_bytes_raw()), private)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of CHECKPOINT_KEY: the first one signs."""

    all: tuple[SigningKey, ...]

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self.all[0]

    def find(self, public: VerificationKey) -> SigningKey | None:
        """Return the key with this public key."""
        return next((key for key in self.all if key.public == public), None)

    def checkpoint(self, checkpoint: Checkpoint) -> str:
        """Sign a checkpoint."""
        key = self.current
        return str(notes.sign(checkpoint.text(), [(key.public, key.private.sign)]))

    def key_change(self, old: SigningKey, last: Checkpoint) -> str:
        """Sign the note in which an old key names the current one."""
        new = self.current
        change = KeyChange(last.log, last.epoch, last.size, last.root, new.public)
        signers = [(key.public, key.private.sign) for key in (old, new)]
        return str(notes.sign(change.text(), signers))


def keys() -> SigningKeys | None:
    """Return this process's signing keys, or None without CHECKPOINT_KEY."""
    settings = current_settings()
    if settings.checkpoint_key is None:
        return None
    log = log_name.current()
    seeds = settings.checkpoint_key.by_id.values()
    return SigningKeys(tuple(SigningKey.of(log, seed) for seed in seeds))


def public_keys(log: str) -> list[VerificationKey]:
    """Return the public keys of CHECKPOINT_KEY, or nothing without it."""
    configured = current_settings().checkpoint_key
    if configured is None:
        return []
    return [SigningKey.of(log, seed).public for seed in configured.by_id.values()]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check an Ed25519 signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def published(session: Session) -> list[tuple[int, VerificationKey]]:
    """Return the published keys, each with the first tree that it signed."""
    value = session.scalar(sa.select(Fact.value).where(Fact.name == _PUBLISHED))
    pairs = json.loads(value) if value is not None else []
    return [(int(epoch), VerificationKey.parse(text)) for epoch, text in pairs]


def publish(session: Session, epoch: int, key: VerificationKey) -> None:
    """Publish the key that signs from this tree on, unless it is the last published one."""
    known = published(session)
    if known and known[-1][1] == key:
        return
    value = json.dumps([[first, str(one)] for first, one in [*known, (epoch, key)]]).encode()
    fact = session.get(Fact, _PUBLISHED)
    if fact is None:
        session.add(Fact(name=_PUBLISHED, value=value))
    else:
        fact.value = value
    session.flush()


def opened(text: str, trusted: list[VerificationKey], log: str) -> Checkpoint:
    """Read a checkpoint of this log that a trusted key signed.

    :raises NoteInvalid: it is malformed, belongs to another log, or is not signed by a trusted key.
    """
    checkpoint = Checkpoint.of_note(text)
    if checkpoint.log != log:
        raise NoteInvalid("the checkpoint is of another log")
    return notes.open_checkpoint(text, trusted, verify)
