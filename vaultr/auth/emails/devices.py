"""Emails about devices: a new one, and a session that is used from elsewhere."""

from dataclasses import dataclass
from typing import Final

from vaultr import clock
from vaultr.auth.emails.template_context import host
from vaultr.mail.service import Email, compose, quote
from vaultr.request_context import current_origin

_CLIENTS: Final = {
    "vaultr": "the vaultr command or a program with its SDK",
    "browser": "a browser",
    "edge": "the browser Edge",
    "opera": "the browser Opera",
    "firefox": "the browser Firefox",
    "chrome": "the browser Chrome or a similar one",
    "safari": "the browser Safari",
    "other": "another program",
}


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """The network and client from which a device is used, as precisely as the server stores them.

    :ivar family: the kind of client; ``network`` is its address, truncated to /24 or /48.
    """

    device_name: str
    family: str
    network: str

    @classmethod
    def here(cls, device_name: str) -> "DeviceUse":
        """Return the device use of the current request."""
        origin = current_origin()
        return cls(device_name, origin.family, origin.network)

    def __str__(self) -> str:
        client = _CLIENTS.get(self.family, self.family)
        return f"{client}, from the network {self.network}"


def new_device(use: DeviceUse) -> Email:
    """Return the email about a first login by a device."""
    return compose(
        "new-device",
        "A new device logged in to your Vaultr account",
        f"A new device logged in to your account at {host()}.",
        f"Name of the device: {quote(use.device_name)}. Time: {_moment()}. Client: {use}.",
        "If this was you, you do not need to do anything.",
        "If it was not you, somebody knows your master password and your secret key. On one of "
        "your own devices, find the session with `vaultr sessions list` and end it with `vaultr "
        "sessions revoke ID`. Then change the password with `vaultr passwd`, and answer that "
        "others may know the old one.",
        notice=True,
    )


def moved(before: DeviceUse, now: DeviceUse) -> Email:
    """Return the email about a session that is used from another network or client."""
    return compose(
        "session-moved",
        "Your Vaultr account is used from another network or client",
        f"Since {_moment()}, the session of {quote(now.device_name)} at {host()} is used from "
        "another network or client.",
        f"Before: {before}.",
        f"Now: {now}.",
        "If you travel or changed networks, you do not need to do anything.",
        "If it was not you, somebody may have copied the session from the device. Find it with "
        "`vaultr sessions list` and end it with `vaultr sessions revoke ID`. Your vaults stay "
        "encrypted: a session alone cannot open them.",
        notice=True,
    )


def ended_for_move(before: DeviceUse, now: DeviceUse) -> Email:
    """Return the email about a session that ended because it was used from elsewhere."""
    return compose(
        "session-ended-moved",
        "A Vaultr session was used from another network or client, and was ended",
        f"The session of {quote(now.device_name)} at {host()} was ended on {_moment()}, because "
        "this server does not let a session change its network or its kind of client.",
        f"Before: {before}.",
        f"Now: {now}.",
        "If you travel or changed networks, log in again.",
        "If not, somebody may have copied the session from the device. Your vaults stay encrypted: "
        "a session alone cannot open them. Find out who or what could read that device, and change "
        "your master password on another device with `vaultr passwd`.",
        notice=True,
    )


def _moment() -> str:
    return f"{clock.now():%Y-%m-%d at %H:%M} UTC"
