"""The newest checkpoint that this account has verified, shared with all devices in the profile."""

from dataclasses import dataclass, field
from typing import Any

from vaultr.client.errors import AnswerInvalid
from vaultr.client.strict_json import Json
from vaultr.protocol import merkle
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.notes import Checkpoint, NoteInvalid, VerificationKey


@dataclass(frozen=True, slots=True)
class Pinned:
    """A verified checkpoint, the trusted keys, and the last verified event of the account.

    :ivar keys: all keys that have signed so far; the last one is current.
    :ivar last: number and leaf hash of the last verified event.
    """

    checkpoint: Checkpoint
    note: str = field(repr=False)
    keys: list[VerificationKey] = field(repr=False)
    last: tuple[int, bytes] = (-1, merkle.NO_LEAF)

    def to_json(self) -> Json:
        """Return the member ``checkpoint`` of the profile."""
        one = self.checkpoint
        place = {"log": one.log, "epoch": one.epoch, "size": one.size, "root": b64(one.root)}
        seq, leaf = self.last
        keys = [str(key) for key in self.keys]
        return {**place, "note": self.note, "keys": keys, "seq": seq, "leaf": b64(leaf)}

    @classmethod
    def from_json(cls, document: Any) -> "Pinned | None":
        """Read the member ``checkpoint`` of the profile; None before the first verification.

        :raises AnswerInvalid: it is malformed.
        """
        if document is None:
            return None
        try:
            root = unb64(document["root"])
            checkpoint = Checkpoint(
                document["log"], int(document["epoch"]), int(document["size"]), root
            )
            keys = [VerificationKey.parse(one) for one in document["keys"]]
            last = (int(document["seq"]), unb64(document["leaf"]))
            note = str(document["note"])
            if Checkpoint.of_note(note) != checkpoint or not keys:
                raise AnswerInvalid(
                    "The profile that your devices share contradicts itself about the log."
                )
        except (KeyError, TypeError, ValueError, NoteInvalid):
            raise AnswerInvalid(
                "The profile that your devices share has a malformed entry about the log."
            ) from None
        return cls(checkpoint, note, keys, last)
