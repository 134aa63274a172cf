"""The outer form of a sealed value, which the server can check without a key."""

from typing import Final

SUITE: Final = 1
SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
TAG_BYTES: Final = 16
LENGTH_BYTES: Final = 4

# Suite byte, salt, key commitment and the tag of AES-GCM.
OVERHEAD: Final = 1 + SALT_BYTES + COMMITMENT_BYTES + TAG_BYTES

SMALLEST_STEP: Final = 64
_EVEN_STEPS_UP_TO: Final = 1024


def padded_size(size: int) -> int:
    """Round ``size`` up to its padding step, so that similar lengths look alike.

    ``size`` includes the 4 length bytes that precede the plaintext. Multiples of 64 up to 1,024;
    beyond that Padmé, which adds at most about 12 %.

    Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
    PURBs", PETS 2019, section 4.
    """
    if size <= _EVEN_STEPS_UP_TO:
        return max(SMALLEST_STEP, -(-size // SMALLEST_STEP) * SMALLEST_STEP)
    exponent = size.bit_length() - 1
    kept_bits = exponent.bit_length()
    step = 1 << (exponent - kept_bits)
    return -(-size // step) * step


def is_padding_step(size: int) -> bool:
    """Return whether ``size`` is a result of :func:`padded_size`."""
    return size >= SMALLEST_STEP and padded_size(size) == size


def is_sealed(data: bytes) -> bool:
    """Return whether ``data`` can be a sealed value: its suite, a padded size, and not text.

    This does not prove encryption; it only prevents storing plaintext, or its base64, by accident.
    """
    if not data or data[0] != SUITE or not is_padding_step(len(data) - OVERHEAD):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False
