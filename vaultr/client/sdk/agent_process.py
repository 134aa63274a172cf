"""Start the agent as a separate process, which writes the profile when it ends after idle time."""

import contextlib
from pathlib import Path

from vaultr.client.background import agent


def write_profile(home: Path, account_key: bytes, ca_file: Path | None) -> None:
    """Write the profile if a head has changed and the server can be reached."""
    # The agent must start quickly and stay small; it needs these modules only when it ends.
    from vaultr.client.errors import VaultrError  # noqa: PLC0415 - late, see above
    from vaultr.client.sdk.device_session import DeviceSession  # noqa: PLC0415 - late, see above

    device = DeviceSession(home=home, ca_file=ca_file, agent=False)
    with contextlib.suppress(VaultrError):
        device.hurry()  # an unresponsive server must not keep the key in memory
        known = device.store.account()
        unlocked = None if known is None else device.open_with_key(known, account_key)
        if unlocked is not None:
            unlocked.write_profile(now=True)
    device.drop()


if __name__ == "__main__":
    agent.main(on_idle=write_profile)
