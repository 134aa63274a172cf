"""What a server showed when its differences were listed: only that may be accepted by hand."""

from collections.abc import Iterable
from dataclasses import dataclass

from vaultr.client.crypto.primitives import sha256
from vaultr.client.errors import AnswerInvalid
from vaultr.client.storage.profile import Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import HASH_BYTES


@dataclass(frozen=True, slots=True)
class Seen:
    """The profile and the head of each vault, as the server showed them."""

    profile: str
    vaults: frozenset[tuple[str, int, str]]

    def to_json(self) -> Json:
        """Write it with plain types."""
        return {"profile": self.profile, "vaults": sorted(map(list, self.vaults))}

    @classmethod
    def from_json(cls, value: Json) -> "Seen":
        """Read what :meth:`to_json` wrote."""
        return cls(
            value["profile"], frozenset((each[0], each[1], each[2]) for each in value["vaults"])
        )


def look(profile: Profile, listed: Iterable[Json]) -> Seen:
    """Note what a server shows."""
    vaults = set()
    for each in listed:
        fields = Fields(each, "vault", AnswerInvalid)
        head = fields.binary("head", HASH_BYTES)
        vaults.add((str(fields.uuid("id")), fields.count("revision"), b64(head)))
    return Seen(f"{profile.revision} {b64(sha256(profile.sealed))}", frozenset(vaults))
