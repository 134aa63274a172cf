"""A snapshot of the server state whose differences were listed; only that state may be accepted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from vaultr.client.crypto.primitives import sha256
from vaultr.client.errors import AnswerInvalid
from vaultr.client.log.pages import Shown
from vaultr.client.storage.profile import Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.encoding import b64, lp
from vaultr.protocol.entries import HASH_BYTES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The profile and the head of each vault, as the server showed them.

    :ivar sets: the digest of each listed set. The head does not cover a set that no entry commits
        to.
    """

    profile: str
    vaults: frozenset[tuple[str, int, str]]
    sets: Mapping[str, str]

    def to_json(self) -> Json:
        """Return it as JSON."""
        vaults = sorted(map(list, self.vaults))
        return {"profile": self.profile, "vaults": vaults, "sets": dict(self.sets)}

    @classmethod
    def from_json(cls, value: Json) -> "Snapshot":
        """Return the snapshot from what :meth:`to_json` returned."""
        vaults = frozenset((each[0], each[1], each[2]) for each in value["vaults"])
        return cls(value["profile"], vaults, value.get("sets", {}))

    def has_heads_of(self, other: "Snapshot") -> bool:
        """Check whether profile and heads are the same, without comparing the sets."""
        return (self.profile, self.vaults) == (other.profile, other.vaults)

    def has_set(self, shown: Shown) -> bool:
        """Check whether exactly this set was listed."""
        return self.sets.get(str(shown.vault_id)) == digest(shown)


def snapshot(profile: Profile, listed: Iterable[Json], sets: Mapping[UUID, str]) -> Snapshot:
    """Return a snapshot of the server's state.

    :param sets: the digests of the listed sets.
    """
    vaults = set()
    for each in listed:
        fields = Fields(each, "vault", AnswerInvalid)
        head = fields.binary("head", HASH_BYTES)
        vaults.add((str(fields.uuid("id")), fields.count("revision"), b64(head)))
    digests = {str(vault_id): each for vault_id, each in sets.items()}
    return Snapshot(f"{profile.revision} {b64(sha256(profile.sealed))}", frozenset(vaults), digests)


def digest(shown: Shown) -> str:
    """Return a digest of a set: the vault's waypoint, its name and all items."""
    place, name = shown.waypoint, shown.overview
    parts = [lp(place.n, place.head, place.generation)]
    parts.append(lp(name.revision, name.generation, name.content))
    parts += [
        lp(
            item_id,
            held.revision,
            held.content_revision,
            held.generation,
            held.type,
            held.content,
            held.state,
        )
        for item_id, held in sorted(shown.items.items())
    ]
    return b64(sha256(lp(*parts)))
