"""Find the server keys that the data needs, and check that this server has them."""

from vaultr.backup.errors import KeysMissing
from vaultr.backup.manifest import NeededKey
from vaultr.ops.keys import usage
from vaultr.ops.keys.fingerprints import fingerprint
from vaultr.security import keyring
from vaultr.settings.types import KEY_SETS


def needed() -> tuple[NeededKey, ...]:
    """Return the keys that the data of the current database needs.

    :raises KeysMissing: this server lacks some of them, so it cannot compute their fingerprints.
    """
    found, missing = [], []
    for name in KEY_SETS:
        known = _keys(name)
        for key_id in usage.missing(name, ()):
            if key_id in known:
                found.append(NeededKey(name, key_id, fingerprint(name, known[key_id])))
            else:
                missing.append(f"{name} {key_id}")
    if missing:
        raise KeysMissing(
            f"The data needs keys that this server does not have: {', '.join(missing)}. Put them"
            " back first (`flask keys status`): a backup without them could not be used."
        )
    return tuple(found)


def check(keys: tuple[NeededKey, ...]) -> None:
    """Check that this server has the keys that a backup needs.

    :raises KeysMissing: some keys are missing, or have the same id but another content.
    """
    absent = [key for key in keys if key.id not in _keys(key.name)]
    if absent:
        raise KeysMissing(
            f"The backup needs keys that are not set here: {_listed(absent)}. Get them from the"
            " key escrow, add them to their settings, and compare `flask keys fingerprint`."
        )
    wrong = [
        key for key in keys if fingerprint(key.name, _keys(key.name)[key.id]) != key.fingerprint
    ]
    if wrong:
        raise KeysMissing(
            f"Keys with the right ids but other contents are set here: {_listed(wrong)}. Get the"
            " right ones from the key escrow, and compare `flask keys fingerprint`."
        )


def _keys(name: str) -> dict[str, bytes]:
    ring: keyring.KeyRing = getattr(keyring.current(), keyring.RINGS[name])
    return dict(ring.keys.by_id)


def _listed(keys: list[NeededKey]) -> str:
    return ", ".join(str(key) for key in keys)
