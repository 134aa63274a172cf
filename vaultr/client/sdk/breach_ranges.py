"""Request ranges of breached passwords from the server: it sees five hex digits of a hash, no
more.
"""

import re
from typing import Final

from vaultr.client.errors import AnswerInvalid, VaultrError
from vaultr.client.sdk.device_session import DeviceSession

# A range contains the hashes that begin with these digits, as grouped by Have I Been Pwned.
_PREFIX_DIGITS: Final = 5
# The other 35 digits of a SHA-1 hash, and how often it was seen. Padding has the count 0.
_LINE: Final = re.compile(r"([0-9A-F]{35}):([0-9]{1,12})")


class BreachesUnavailable(VaultrError):
    """The server has no list of breached passwords at the moment; nothing was checked."""

    advice = "Check a local file instead, which sends nothing: --breach-file FILE"


class BreachRanges:
    """Counts how often a password was seen in breaches, with the server's ranges."""

    def __init__(self, device: DeviceSession) -> None:
        self._device = device
        self._ranges: dict[str, dict[str, int]] = {}

    def breach_count(self, digest: bytes) -> int:
        """Return how often a SHA-1 hash was seen in breaches; the server sees 20 bits of it.

        Never call it for the master password: even 20 bits would help a hostile server.

        :raises BreachesUnavailable: the server has no list at the moment.
        """
        text = digest.hex().upper()
        prefix = text[:_PREFIX_DIGITS]
        if prefix not in self._ranges:
            self._ranges[prefix] = self._asked(prefix)
        return self._ranges[prefix].get(text[_PREFIX_DIGITS:], 0)

    def _asked(self, prefix: str) -> dict[str, int]:
        session = self._device.require_unlocked().account.session
        listed = (session.send("GET", f"/breach/{prefix}").text or "").splitlines()
        if not listed:
            raise BreachesUnavailable(str(BreachesUnavailable.__doc__))
        found = [_LINE.fullmatch(line) for line in listed]
        counts = {match[1]: int(match[2]) for match in found if match is not None}
        if None in found:
            raise AnswerInvalid("the range of breached passwords has an invalid line")
        return counts
