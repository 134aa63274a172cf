"""The ssh-agent command: serve the ssh_key items to SSH."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.background import memory_protection
from vaultr.client.cli import output
from vaultr.client.cli.offline_options import Duration
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.integrations.ssh_agent import Identity

_ASK_SECONDS = 120


@command(
    "ssh-agent",
    "vaultr ssh-agent &",
    "vaultr ssh-agent --confirm --lifetime 8h --socket ~/.ssh/vaultr.sock",
)
@click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Socket to serve (default: in XDG_RUNTIME_DIR)",
)
@click.option("--confirm", is_flag=True, help="Ask before each use of a key (SSH_ASKPASS)")
@click.option(
    "--lifetime",
    type=Duration(),
    metavar="TIME",
    help="Forget the keys after this time, such as 8h",
)
@vault_option("Only keys of this vault")
@pass_options
def ssh_agent(
    options: GlobalOptions,
    /,
    path: Path | None,
    confirm: bool,
    lifetime: timedelta | None,
    vault: str | None,
) -> None:
    """Serve SSH keys as an SSH agent.

    The agent offers all ssh_key items (Ed25519, RSA, ECDSA) until it is stopped. It runs in the
    foreground and prints the variable that ssh needs. ssh-add -l, -L, -d, -D, -x and -X work; keys
    cannot be added. A private key never leaves the process.
    """
    from vaultr.client.integrations import ssh_agent as agent  # noqa: PLC0415 - would slow other commands

    memory_protection.guard(for_good=True)
    place = path or _default_socket()
    with unlocked_sdk(options) as vaultr:
        found = [item for item in vaultr.each_revealed(vault=vault) if item.type == "ssh_key"]
    identities = [each for item in found if (each := _identity(item)) is not None]
    if not identities:
        raise VaultrError("No ssh_key item can be served. Add one: vaultr add ssh_key --title NAME")
    serving = agent.SshAgent(
        identities,
        confirm=_confirmed if confirm else None,
        lifetime=None if lifetime is None else lifetime.total_seconds(),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with agent.listening(place) as listener:
        quoted = shlex.quote(str(place))
        output.print_line(f"SSH_AUTH_SOCK={quoted}; export SSH_AUTH_SOCK;")
        output.print_note(f"Serving {len(identities)} keys until this process ends.")
        agent.serve(serving, listener, stop)


def _default_socket() -> Path:
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if not folder:
        raise UsageError("XDG_RUNTIME_DIR is not set: use --socket PATH.")
    return Path(folder) / "vaultr-ssh-agent.sock"


def _identity(item: object) -> "Identity | None":
    """Return the key of an item; if it cannot be used, print why and return None."""
    from vaultr.client.crypto import primitives  # noqa: PLC0415 - would slow other commands
    from vaultr.client.integrations.ssh_agent import Identity  # noqa: PLC0415 - would slow other commands

    title = getattr(item, "title", "")
    detail = getattr(item, "detail", None) or {}
    private, passphrase = detail.get("private_key"), detail.get("passphrase")
    try:
        key = primitives.ssh_key(str(private or ""), str(passphrase) if passphrase else None)
    except ValueError as error:
        output.print_note(f"{output.printable(title)} is not served: {error}.")
        return None
    return Identity(key, title)


def _confirmed(comment: str) -> bool:
    """Ask with SSH's own program for such questions."""
    program = os.environ.get("SSH_ASKPASS") or "ssh-askpass"
    question = f"Allow use of key {output.printable(comment)}?"
    environment = {**os.environ, "SSH_ASKPASS_PROMPT": "confirm"}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run(
            [program, question],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=_ASK_SECONDS,
        )
        return asked.returncode == 0
    return False
