"""The profile: sealed pins and last known heads, shared by the owner's devices."""

import copy
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, VaultrError
from vaultr.client.log.entries import Waypoint
from vaultr.client.storage.pins import PROFILE_SHOWN, Pins
from vaultr.client.strict_json import Fields, Json, read_object
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import HASH_BYTES

VERSION: Final = 1
# A vault's member: keys up to this generation must be replaced.
_ROTATE: Final = "rotate"


class Deleted(Enum):
    """Replaces the head of a vault that the owner has deleted, permanently."""

    DELETED = "deleted"


DELETED: Final = Deleted.DELETED

Known = Waypoint | Deleted


class ProfileTooNew(VaultrError):
    """A newer client wrote the profile: update this one."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One revision of the profile. Changes return a new profile, and keep unknown fields.

    :ivar sealed: its sealed bytes; empty before it is sealed.
    """

    revision: int
    document: Json = field(repr=False)
    sealed: bytes = field(default=b"", repr=False)

    @property
    def pins(self) -> Pins:
        """The pins of the account."""
        return Pins.from_json(self.document["pins"])

    @property
    def vaults(self) -> dict[UUID, Known]:
        """The last known head of each vault, or ``DELETED``."""
        return _read_vaults(Fields(self.document["vaults"], "profile.vaults", AnswerInvalid))

    @property
    def deleted(self) -> frozenset[UUID]:
        """The vaults that the owner has deleted."""
        return frozenset(each for each, known in self.vaults.items() if known is DELETED)

    def head_of(self, vault_id: UUID) -> Waypoint | None:
        """Return the last known head of a vault, or None."""
        known = self.vaults.get(vault_id)
        return None if isinstance(known, Deleted) else known

    def with_head(self, vault_id: UUID, waypoint: Waypoint) -> "Profile":
        """Return the profile with this head.

        :raises ValueError: the profile has a later head, or the vault was deleted.
        """
        known = self.vaults.get(vault_id)
        if isinstance(known, Deleted) or (known and known.n > waypoint.n):
            raise ValueError("a head in the profile never goes back")
        noted = self.document["vaults"].get(str(vault_id), {})
        place = noted | _place(waypoint)
        return self._changed(vaults=self.document["vaults"] | {str(vault_id): place})

    def with_deleted(self, vault_id: UUID) -> "Profile":
        """Return the profile with a vault marked as deleted."""
        noted = {str(vault_id): DELETED.value}
        return self._changed(vaults=self.document["vaults"] | noted)

    def with_place(self, vault_id: UUID, waypoint: Waypoint) -> "Profile":
        """Return the profile with a head that the owner accepted, even an earlier one."""
        noted = self.document["vaults"].get(str(vault_id))
        kept = noted if isinstance(noted, dict) else {}
        return self._changed(
            vaults=self.document["vaults"] | {str(vault_id): kept | _place(waypoint)}
        )

    def of_vaults(self, vault_ids: Collection[UUID]) -> "Profile":
        """Return the profile with only these vaults, as the owner accepted."""
        kept = {str(each) for each in vault_ids}
        noted = self.document["vaults"]
        return self._changed(vaults={text: noted[text] for text in noted if text in kept})

    def with_keys_due(self, generations: Mapping[UUID, int]) -> "Profile":
        """Return the profile with the current keys of vaults marked as due for rotation.

        It is written when the account key is replaced, because others may know the keys under the
        old one. Any device can start or continue the rotations.

        :param generations: the newest generation of each vault's keys.
        """
        vaults = dict(self.document["vaults"])
        for vault_id, generation in generations.items():
            noted = vaults.get(str(vault_id))
            if isinstance(noted, dict):
                vaults[str(vault_id)] = noted | {_ROTATE: generation}
        return self._changed(vaults=vaults)

    def due_generation(self, vault_id: UUID) -> int:
        """Return the newest generation of a vault's keys that must be replaced; 0 for none."""
        noted = self.document["vaults"].get(str(vault_id))
        due = noted.get(_ROTATE) if isinstance(noted, dict) else None
        return due if isinstance(due, int) else 0

    def keys_due(self, vault_id: UUID, generation: int) -> bool:
        """Check whether a vault with keys of this generation needs a rotation."""
        return generation <= self.due_generation(vault_id)

    def with_checkpoint(self, checkpoint: Json) -> "Profile":
        """Return the profile with the newest verified checkpoint of the audit log."""
        return self._changed(checkpoint=checkpoint)

    def with_pins(self, pins: Pins) -> "Profile":
        """Return the profile with new pins, after a change of the password."""
        return self._changed(pins=self.document["pins"] | pins.to_json())

    def _changed(self, **members: Json) -> "Profile":
        return Profile(self.revision, copy.deepcopy(self.document) | members)


def _place(waypoint: Waypoint) -> Json:
    return {"n": waypoint.n, "head": b64(waypoint.head), "generation": waypoint.generation}


def new_profile(pins: Pins) -> Profile:
    """Return the profile of a new account, to be sealed as revision 1."""
    document = {
        "v": VERSION,
        "pins": pins.to_json(),
        "vaults": {},
        "checkpoint": None,
        "settings": {},
    }
    return Profile(revision=0, document=document)


def seal_profile(wrap: bytes, account_id: UUID, profile: Profile, revision: int) -> Profile:
    """Return ``profile`` sealed under AK_wrap as ``revision``."""
    text = json.dumps(profile.document, separators=(",", ":"), sort_keys=True)
    sealed = seal(wrap, aad.profile(account_id, revision), text.encode())
    return Profile(revision, profile.document, sealed)


def open_profile(wrap: bytes, account_id: UUID, revision: int, sealed: bytes) -> Profile:
    """Open one revision of the profile.

    :raises SealBroken: it is another revision, of another account, or damaged.
    :raises AnswerInvalid: the sealed value is not a profile.
    :raises ProfileTooNew: a newer client wrote it.
    """
    try:
        bound = aad.profile(account_id, revision)
        what = f"revision {revision} of the profile that your devices share"
        document = read_object(open_sealed(wrap, bound, sealed, what))
    except ValueError as error:
        raise AnswerInvalid(f"{PROFILE_SHOWN} is invalid: {error}.") from None
    fields = Fields(document, "profile", AnswerInvalid)
    if fields.count("v", least=VERSION) > VERSION:
        raise ProfileTooNew(
            "A newer version of Vaultr on another device wrote your account's profile. Nothing was "
            "changed. Update Vaultr on this device, then try again."
        )
    pins = Pins.from_json(fields.within("pins").raw())
    if pins.account_id != account_id:
        raise AnswerInvalid(f"{PROFILE_SHOWN} is of another account.")
    _read_vaults(fields.within("vaults"))
    return Profile(revision, document, sealed)


def accept_profile(last: Profile | None, shown: Profile) -> Profile:
    """Return the server's profile if it can follow ``last``, which this client has seen.

    :raises RolledBack: its revision is lower, a vault is missing or has an earlier head, or a
        deleted vault is back.
    :raises ChainBroken: the same revision has other bytes, or a vault has two histories.
    """
    if last is None:
        return shown
    if shown.revision < last.revision:
        raise RolledBack(
            f"The server shows an older profile of your account: revision {shown.revision}, "
            f"this device has seen {last.revision}. The profile is the record that your devices "
            "share of what they have seen."
        )
    if shown.revision == last.revision and shown.sealed != last.sealed:
        raise ChainBroken(
            f"{PROFILE_SHOWN} has another content than before under the same revision "
            f"{shown.revision}."
        )
    theirs = shown.vaults
    for vault_id, known in last.vaults.items():
        _check_known(vault_id, known, theirs.get(vault_id))
    return shown


def _check_known(vault_id: UUID, known: Known, shown: Known | None) -> None:
    match known, shown:
        case (_, None):
            raise RolledBack(
                f"{PROFILE_SHOWN} has lost vault {vault_id}, which is not deleted.",
                vault_id=vault_id,
            )
        case (_, Deleted()):
            return
        case (Deleted(), _):
            raise RolledBack(
                f"{PROFILE_SHOWN} lists vault {vault_id} again, which you deleted.",
                vault_id=vault_id,
            )
        case (Waypoint() as ours, Waypoint() as theirs):
            _check_order(vault_id, ours, theirs)


def _check_order(vault_id: UUID, ours: Waypoint, theirs: Waypoint) -> None:
    if theirs.n < ours.n or theirs.generation < ours.generation:
        raise RolledBack(
            f"{PROFILE_SHOWN} is older than before: it has vault {vault_id} at {theirs}, after "
            f"{ours}.",
            vault_id=vault_id,
        )
    if theirs.n == ours.n and theirs != ours:
        raise ChainBroken(
            f"{PROFILE_SHOWN} has another history of vault {vault_id}: {theirs} instead of {ours}.",
            vault_id=vault_id,
        )


def merge_profiles(mine: Profile, theirs: Profile) -> Profile:
    """Merge this client's profile into one that another device wrote in the meantime.

    ``theirs`` must have been accepted. The later head of each vault wins, deleted vaults stay
    deleted, and due rotations stay due; all else is taken from ``theirs``. Seal the result as
    ``theirs.revision + 1``.

    :raises ChainBroken: a vault has two histories.
    """
    merged = theirs
    there = theirs.vaults
    for vault_id, known in mine.vaults.items():
        match known, there.get(vault_id):
            case (_, Deleted()):
                continue
            case (Deleted(), _):
                merged = merged.with_deleted(vault_id)
            case (Waypoint() as ours, None):
                merged = merged.with_head(vault_id, ours)
            case (Waypoint() as ours, Waypoint() as other):
                if ours.n > other.n:
                    merged = merged.with_head(vault_id, ours)
                else:
                    _check_order(vault_id, ours, other)
    due = {each: mine.due_generation(each) for each in mine.vaults}
    newer = {each: g for each, g in due.items() if g > merged.due_generation(each)}
    return merged.with_keys_due(newer) if newer else merged


def _read_vaults(fields: Fields) -> dict[UUID, Known]:
    return {_vault_id(text): _known(fields, text) for text in fields.raw()}


def _vault_id(text: str) -> UUID:
    try:
        vault_id = UUID(text)
    except ValueError:
        raise AnswerInvalid(f"{PROFILE_SHOWN} has a vault with an invalid id.") from None
    if str(vault_id) != text:
        raise AnswerInvalid(f"{PROFILE_SHOWN} has a vault with an invalid id.")
    return vault_id


def _known(fields: Fields, text: str) -> Known:
    if fields.raw()[text] == DELETED.value:
        return DELETED
    noted = fields.within(text)
    return Waypoint(
        n=noted.count("n"),
        head=noted.binary("head", HASH_BYTES),
        generation=noted.count("generation", least=1),
    )
