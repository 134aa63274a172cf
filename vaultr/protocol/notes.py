"""Signed notes, checkpoints and proofs as text (C2SP signed-note, tlog-checkpoint, tlog-proof).

The caller signs and verifies: this module contains no cryptography.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vaultr.protocol.merkle import HASH_BYTES, MAX_SIZE

ED25519: Final = 1
COSIGNATURE: Final = 4  # Ed25519 with the witness's timestamp (C2SP tlog-cosignature)
KEY_CHANGE: Final = "key-change"
PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_TIME_BYTES: Final = 8
_DASH: Final = "\u2014"
_NAME = re.compile(r"[^\s+]+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

# Checks an Ed25519 signature: public key, message, signature.
Verify = Callable[[bytes, bytes, bytes], bool]


class NoteInvalid(Exception):
    """A note, key or proof is malformed, or no trusted key has signed it."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A named public key, written ``<name>+<id>+<base64>`` (vkey).

    :ivar kind: `ED25519` for a log, `COSIGNATURE` for a witness.
    """

    name: str
    public: bytes
    kind: int = ED25519

    @classmethod
    def parse(cls, text: str) -> "VerificationKey":
        """Read a vkey.

        :raises NoteInvalid: it is malformed or of another kind.
        """
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = decode(encoded)
        if not _NAME.fullmatch(name) or len(data) != 1 + _KEY_BYTES:
            raise NoteInvalid("not a verification key")
        key = cls(name, data[1:], data[0])
        if key.kind not in (ED25519, COSIGNATURE) or key_id != key.id.hex():
            raise NoteInvalid("not a verification key of a known kind")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes with which a signature names its key."""
        data = f"{self.name}\n".encode() + bytes([self.kind]) + self.public
        return hashlib.sha256(data).digest()[:_ID_BYTES]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the public key in hexadecimal, for people to compare."""
        return hashlib.sha256(self.public).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode(bytes([self.kind]) + self.public)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_DASH} {self.name} {encode(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text with signatures. ``text`` ends with a newline; signatures cover exactly its bytes."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    def signed_by(self, key: VerificationKey, verify: Verify) -> bool:
        """Check whether a key has signed this note."""
        for signature in self.signatures:
            if (signature.name, signature.key_id) != (key.name, key.id):
                continue
            if key.kind == ED25519 and len(signature.value) == _SIGNATURE_BYTES:
                return verify(key.public, self.text.encode(), signature.value)
            if key.kind == COSIGNATURE and len(signature.value) == _TIME_BYTES + _SIGNATURE_BYTES:
                time = int.from_bytes(signature.value[:_TIME_BYTES], "big")
                message = f"cosignature/v1\ntime {time}\n{self.text}".encode()
                return verify(key.public, message, signature.value[_TIME_BYTES:])
        return False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Size and root of one tree. ``log`` is the name of the log, ``epoch`` the tree's number."""

    log: str
    epoch: int
    size: int
    root: bytes

    @property
    def origin(self) -> str:
        """The origin line."""
        return f"{self.log}/{self.epoch}"

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a note as a checkpoint.

        :raises NoteInvalid: it is not a checkpoint of one of our trees.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise NoteInvalid("a checkpoint has three lines")
        log, _, epoch = lines[0].rpartition("/")
        root = decode(lines[2])
        if not _NAME.fullmatch(log) or len(root) != HASH_BYTES:
            raise NoteInvalid("not a checkpoint")
        return cls(log, number(epoch), number(lines[1]), root)

    @classmethod
    def of_note(cls, text: str) -> "Checkpoint":
        """Read a signed note as a checkpoint, without checking its signatures.

        :raises NoteInvalid: it is malformed, or not a checkpoint of one of our trees.
        """
        return cls.parse(parse(text).text)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A new signing key: the last tree of the old key, its final size and root, and the new key."""

    log: str
    epoch: int
    size: int
    root: bytes
    key: VerificationKey

    def text(self) -> str:
        """Return the text that both keys sign."""
        return (
            f"{self.log}/{KEY_CHANGE}\n{self.epoch}\n{self.size}\n{encode(self.root)}\n{self.key}\n"
        )

    @classmethod
    def parse(cls, text: str) -> "KeyChange":
        """Read the text of a note as a change of key.

        :raises NoteInvalid: it is not one.
        """
        lines = text.split("\n")
        if len(lines) != 6 or lines[5]:
            raise NoteInvalid("a change of key has five lines")
        log, _, purpose = lines[0].rpartition("/")
        root = decode(lines[3])
        if purpose != KEY_CHANGE or not _NAME.fullmatch(log) or len(root) != HASH_BYTES:
            raise NoteInvalid("not a change of key")
        key = VerificationKey.parse(lines[4])
        if key.kind != ED25519 or key.name != log:
            raise NoteInvalid("the new key is not a key of this log")
        return cls(log, number(lines[1]), number(lines[2]), root, key)


@dataclass(frozen=True, slots=True)
class Proof:
    """An inclusion proof with its checkpoint (tlog-proof)."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Note

    def __str__(self) -> str:
        hashes = "".join(f"{encode(node)}\n" for node in self.path)
        return f"{PROOF_HEADER}\nindex {self.index}\n{hashes}\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> "Proof":
        """Read a proof.

        :raises NoteInvalid: it is malformed.
        """
        head, blank, note = text.partition("\n\n")
        lines = head.split("\n")
        if not blank or lines[0] != PROOF_HEADER:
            raise NoteInvalid("not a proof")
        rest = lines[2:] if len(lines) > 1 and lines[1].startswith("extra ") else lines[1:]
        if not rest or not rest[0].startswith("index "):
            raise NoteInvalid("the proof has no index")
        path = tuple(map(decode, rest[1:]))
        if any(len(node) != HASH_BYTES for node in path):
            raise NoteInvalid("a hash has 32 bytes")
        return cls(number(rest[0].removeprefix("index ")), path, parse(note))


def parse(text: str) -> Note:
    """Read a signed note.

    :raises NoteInvalid: it is malformed.
    """
    body, blank, signed = text.rpartition("\n\n")
    if not blank or not signed.endswith("\n") or _CONTROL.search(text):
        raise NoteInvalid("not a signed note")
    return Note(f"{body}\n", tuple(map(_signature, signed[:-1].split("\n"))))


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not _NAME.fullmatch(parts[1]):
        raise NoteInvalid("not a signature line")
    data = decode(parts[2])
    if len(data) <= _ID_BYTES:
        raise NoteInvalid("not a signature line")
    return Signature(parts[1], data[:_ID_BYTES], data[_ID_BYTES:])


def sign(text: str, signers: Iterable[tuple[VerificationKey, Callable[[bytes], bytes]]]) -> Note:
    """Sign a text with each key."""
    signed = (Signature(key.name, key.id, seal(text.encode())) for key, seal in signers)
    return Note(text, tuple(signed))


def open_checkpoint(text: str, keys: Sequence[VerificationKey], verify: Verify) -> Checkpoint:
    """Read a checkpoint that one of the keys signed.

    :raises NoteInvalid: it is malformed, belongs to another log, or none of the keys signed it.
    """
    note = parse(text)
    checkpoint = Checkpoint.parse(note.text)
    if not any(key.name == checkpoint.log and note.signed_by(key, verify) for key in keys):
        raise NoteInvalid("no trusted key has signed this checkpoint")
    return checkpoint


def open_key_change(text: str, old: VerificationKey, verify: Verify) -> KeyChange:
    """Read a change of key that both the old and the new key signed.

    :raises NoteInvalid: it is malformed, belongs to another log, or a signature is missing.
    """
    note = parse(text)
    change = KeyChange.parse(note.text)
    if change.log != old.name:
        raise NoteInvalid("the change of key is of another log")
    if not note.signed_by(old, verify):
        raise NoteInvalid("the old key has not signed the change of key")
    if not note.signed_by(change.key, verify):
        raise NoteInvalid("the new key has not signed the change of key")
    return change


def number(text: str) -> int:
    """Read a whole number in canonical decimal form.

    :raises NoteInvalid: it is not one.
    """
    if not _NUMBER.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteInvalid("not a whole number")
    return int(text)


def encode(data: bytes) -> str:
    """Encode bytes as standard base64."""
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """Decode canonical standard base64.

    :raises NoteInvalid: it is not base64.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid("not base64") from None
    if encode(data) != text:
        raise NoteInvalid("not the canonical base64 of its bytes")
    return data
