"""The unlock process as it is started: an agent that settles the profile at its end."""

import contextlib
from pathlib import Path

from vaultr.client.background import agent


def settle(home: Path, account_key: str, ca_file: Path | None) -> None:
    """Write the profile, if it lacks a head and the server is there."""
    from vaultr.client.errors import VaultrError  # noqa: PLC0415 - only beside the heavy one
    from vaultr.client.sdk.device_session import settle_idle  # noqa: PLC0415 - heavy, needed only at the end

    with contextlib.suppress(VaultrError):
        settle_idle(home, account_key, ca_file)


if __name__ == "__main__":
    agent.main(on_idle=settle)
