"""The letters about devices: a new one, and a session that is used from elsewhere."""

from dataclasses import dataclass
from typing import Final

from vaultr import clock
from vaultr.auth.emails.template_context import host, written
from vaultr.mail.rendering import quoted
from vaultr.mail.service import Letter
from vaultr.request_context import current_origin

_CLIENTS: Final = {
    "vaultr": "the vaultr command or a program that uses its SDK",
    "browser": "a browser",
    "edge": "the browser Edge",
    "opera": "the browser Opera",
    "firefox": "the browser Firefox",
    "chrome": "the browser Chrome, or one like it",
    "safari": "the browser Safari",
    "other": "some other program",
}


@dataclass(frozen=True, slots=True)
class Use:
    """From where a device is used, as coarse as it is kept.

    :ivar family: a word for the client; ``network`` its address, cut to /24 or /48.
    """

    device_name: str
    family: str
    network: str

    @classmethod
    def here(cls, device_name: str) -> "Use":
        """Tell from where this request comes."""
        origin = current_origin()
        return cls(device_name, origin.family, origin.network)

    def __str__(self) -> str:
        client = _CLIENTS.get(self.family, self.family)
        return f"{client}, from the network {self.network}"


def new_device(use: Use) -> Letter:
    """Tell an owner that their account is open on a device where it never was before."""
    return written(
        "new-device",
        "A new device signed in to your Vaultr account",
        f"A device that calls itself {quoted(use.device_name)} signed in to your account at "
        f"{host()} for the first time, on {_moment()}: {use}. The network is its address, cut "
        "short.",
        "If this was you, there is nothing to do.",
        "If it was not, somebody knows your master password and your secret key. From a device of "
        "yours, end the session with `vaultr sessions`, then change the password with `vaultr "
        "passwd` and say that others may know the old one.",
        notice=True,
    )


def moved(before: Use, now: Use) -> Letter:
    """Tell an owner that a session goes on from another network, or with another client."""
    return written(
        "session-moved",
        "Your Vaultr account is used from another place",
        f"The session of {quoted(now.device_name)} at {host()} is used from elsewhere since "
        f"{_moment()}.",
        f"Before: {before}.",
        f"Now: {now}.",
        "If you travel, or changed networks, there is nothing to do.",
        "If not, end that session with `vaultr sessions`: somebody may have copied it from the "
        "device. What is in your vaults stays sealed; the session opens nothing by itself.",
        notice=True,
    )


def ended_for_move(before: Use, now: Use) -> Letter:
    """Tell an owner that a session was ended because it was used from elsewhere."""
    return written(
        "session-ended-moved",
        "A Vaultr session was ended because it was used from another place",
        f"The session of {quoted(now.device_name)} at {host()} was ended on {_moment()}: this "
        "server lets no session go on from another network or with another kind of client.",
        f"Before: {before}.",
        f"Now: {now}.",
        "If you travel, or changed networks, sign in again.",
        "If not, somebody may have copied the session from the device. What is in your vaults "
        "stays sealed; the session opens nothing by itself. Look for what could have read that "
        "device, and change your master password from another one.",
        notice=True,
    )


def _moment() -> str:
    return f"{clock.now():%Y-%m-%d at %H:%M} UTC"
