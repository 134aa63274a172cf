"""KDF parameters: the cost of deriving keys from a password, and the bounds in every client."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Final

ALGORITHM: Final = "argon2id"
SALT_BYTES: Final = 32

# Bounds of protocol section 2. The upper bounds matter too: a hostile server could require
# terabytes of memory.
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "m": (65_536, 1_048_576),
    "t": (3, 16),
    "p": (1, 16),
}


class UnsafeKdf(ValueError):
    """These KDF parameters are outside the bounds; do not use a password with them."""


@dataclass(frozen=True, slots=True)
class Kdf:
    """KDF parameters of Argon2id: ``m`` in KiB, ``t`` passes, ``p`` lanes."""

    alg: str
    m: int
    t: int
    p: int

    RECOMMENDED: ClassVar["Kdf"]

    def to_json(self) -> dict[str, object]:
        """Return the JSON form used on the wire."""
        return asdict(self)


# Source: RFC 9106 section 4, second recommended option, with t = 3.
Kdf.RECOMMENDED = Kdf(alg=ALGORITHM, m=65_536, t=3, p=4)

# The most expensive derivation that a client runs; also the limit for files of other managers.
MOST: Final = Kdf(alg=ALGORITHM, m=_BOUNDS["m"][1], t=_BOUNDS["t"][1], p=_BOUNDS["p"][1])

# All KDF parameters that released clients used for new accounts; decoy accounts use them too.
RELEASED: Final[tuple[Kdf, ...]] = (Kdf.RECOMMENDED,)


def is_below_recommended(kdf: Kdf) -> bool:
    """Check whether new accounts use more memory or passes than ``kdf``."""
    return kdf.m < Kdf.RECOMMENDED.m or kdf.t < Kdf.RECOMMENDED.t


def kdf_of(value: object) -> Kdf:
    """Parse KDF parameters from JSON and check them.

    :raises UnsafeKdf: not an object of exactly ``alg``, ``m``, ``t`` and ``p``, or out of bounds.
    """
    if not isinstance(value, Mapping) or set(value) != {"alg", "m", "t", "p"}:
        raise UnsafeKdf("the derivation parameters are not alg, m, t and p")
    kdf = Kdf(alg=value["alg"], m=value["m"], t=value["t"], p=value["p"])
    check_kdf(kdf)
    return kdf


def check_kdf(kdf: Kdf) -> None:
    """Check that KDF parameters are within the bounds.

    :raises UnsafeKdf: the algorithm is not argon2id, or m, t or p is out of bounds.
    """
    if kdf.alg != ALGORITHM:
        raise UnsafeKdf(f"only {ALGORITHM} derives keys")
    for name, (least, most) in _BOUNDS.items():
        value = getattr(kdf, name)
        if type(value) is not int or not least <= value <= most:
            raise UnsafeKdf(f"{name} must be a whole number from {least} to {most}")


def check_salt(salt: bytes) -> None:
    """Check that a salt has 32 bytes that are not all equal.

    :raises UnsafeKdf: it does not.
    """
    if len(salt) != SALT_BYTES or len(set(salt)) == 1:
        raise UnsafeKdf(f"the salt must be {SALT_BYTES} bytes that are not all equal")


def canonical(kdf: Kdf) -> str:
    """Return KDF parameters as canonical JSON, which is bound to the account key's seal.

    Source: RFC 8785 (JCS): keys sorted, no white space.
    """
    return json.dumps(kdf.to_json(), sort_keys=True, separators=(",", ":"))
