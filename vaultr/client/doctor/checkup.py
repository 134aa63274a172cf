"""Looks whether a device is in order: its folder, its keys, its copy, and the way to its server."""

import os
import platform
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vaultr.client.background.agent_client import agent_allowed
from vaultr.client.background.clipboard import Clipboard, NoClipboard
from vaultr.client.doctor.check_result import Finding
from vaultr.client.doctor.reachability import server_findings
from vaultr.client.errors import VaultrError
from vaultr.client.storage import freshness, secret_keys
from vaultr.version import __version__

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import DeviceSession

_OLD: Final = timedelta(days=30)
_SPACE_BYTES: Final = 64 * 1024 * 1024
# What the environment may say to this client; another name may be a secret that leaks to others.
_KNOWN: Final = frozenset(
    ("VAULTR_URL", "VAULTR_DIR", "VAULTR_AGENT", "VAULTR_KEYRING", "VAULTR_ENV", "VAULTR_HOME")
)


def checkup(device: "DeviceSession") -> Iterator[Finding]:
    """Look at everything; nothing is changed but a token that is due, and no password is needed."""
    checks: tuple[tuple[str, Callable[[DeviceSession], Iterator[Finding]]], ...] = (
        ("version", _version),
        ("folder", _folder),
        ("account", _account),
        ("keys", _keys),
        ("copy", _copy),
        ("server", server_findings),
        ("desktop", _desktop),
    )
    for name, check in checks:
        try:
            yield from check(device)
        except VaultrError as error:
            code = error.exit_code
            yield Finding(name, "fail", str(error), error.advice, code)


def _version(_: "DeviceSession") -> Iterator[Finding]:
    python = f"Python {platform.python_version()} on {platform.system()}"
    yield Finding("version", "ok", f"vaultr {__version__}, {python}")
    odd = sorted(name for name in os.environ if name.startswith("VAULTR_") and name not in _KNOWN)
    if odd:
        yield Finding(
            "environment",
            "warn",
            f"{', '.join(odd)}: no such setting is read.",
            "If one of them holds a secret, unset it: every program that is started can read it.",
        )


def _folder(device: "DeviceSession") -> Iterator[Finding]:
    path = device.store.folder.path
    if not path.exists():
        yield Finding("folder", "ok", f"{path} is not there yet: it comes with signup or login.")
        return
    device.store.device()  # refuses a folder of another user, and a file that was altered
    open_ones = [each for each in (path, *path.rglob("*")) if _is_open(each)]
    if open_ones:
        yield Finding(
            "folder",
            "fail",
            f"Others may get at {', '.join(map(str, open_ones[:3]))}"
            f"{' and more' if len(open_ones) > 3 else ''}.",
            f"Take their rights away: chmod -R go= {path}",
        )
    elif not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        said = f"{path} cannot be written, as most commands have to."
        yield Finding("folder", "fail", said, "Let it be written, or name another: VAULTR_DIR")
    else:
        yield Finding("folder", "ok", f"{path} is yours alone.")
    free = shutil.disk_usage(path).free
    if free < _SPACE_BYTES:
        yield Finding("disk", "warn", f"{free // 1024 // 1024} MiB are free.", "Make room.")


def _is_open(place: Path) -> bool:
    try:
        seen = place.lstat()
    except FileNotFoundError:  # another command replaced it just now
        return False
    return not stat.S_ISLNK(seen.st_mode) and bool(seen.st_mode & 0o077)


def _account(device: "DeviceSession") -> Iterator[Finding]:
    known = device.store.device()
    if known.pins is None:
        said, advice = "This device belongs to no account yet.", "Run vaultr signup, or login."
        if known.waiting:
            said = f"The signup of {known.waiting[-1].email} is not signed in to yet."
            advice = "Confirm its mail: vaultr verify TOKEN, or vaultr resend. Then: vaultr unlock"
        yield Finding("account", "warn", said, advice)
        return
    device.store.account()
    yield Finding("account", "ok", f"{known.email} at {known.pins.origin}")


def _keys(device: "DeviceSession") -> Iterator[Finding]:
    known = device.store.device()
    if known.pins is not None:
        place = device.store.secret_key_place(known.pins.account_id)
        if not known.pins.secret_key:
            said = "The account has none: its master password alone protects it."
            yield Finding("secret key", "warn", said)
        elif place is None:
            advice = "Give it again: vaultr login"
            yield Finding("secret key", "fail", "It is not on this device.", advice)
        else:
            device.store.secret_key(known.pins.account_id)  # which a closed keyring refuses
            yield Finding("secret key", "ok", f"It is in {place}.")
    keyring = secret_keys.Keyring.find()
    said = "There is none: secret keys are kept in files (0600)."
    yield Finding("keyring", "ok", said if keyring is None else f"There is one: {keyring.name}")
    yield _unlock_process(device)


def _unlock_process(device: "DeviceSession") -> Finding:
    name = "unlocked"
    if not agent_allowed():
        return Finding(name, "ok", "VAULTR_AGENT=off: each command asks for the password.")
    if device.agent is None or device.agent.left() is None:
        return Finding(name, "ok", "No: each command asks for the password. See vaultr unlock.")
    minutes = int(device.agent.left() or 0) // 60
    return Finding(name, "ok", f"Yes, for {minutes} more minutes without use.")


def _copy(device: "DeviceSession") -> Iterator[Finding]:
    cache = device.store.cache
    vaults = [cache.load(vault_id) for vault_id in cache.ids()]
    held = [vault for vault in vaults if vault is not None]
    items = sum(len(vault.state.items) for vault in held)
    age = freshness.age(device.store.folder)
    how_old = "of unknown age" if age is None else f"{freshness.said(age)} old"
    said = f"{_counted(len(held), 'vault')}, {_counted(items, 'item')}, {how_old}."
    if held and (age is None or age > _OLD):
        yield Finding("copy", "warn", said, "Bring it up to date: vaultr sync")
    else:
        yield Finding("copy", "ok", said if held else "Nothing was fetched yet.")


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _desktop(_: "DeviceSession") -> Iterator[Finding]:
    try:
        found = Clipboard.find(os.environ)
    except NoClipboard as error:
        yield Finding("clipboard", "ok", f"{error} {error.advice}")
    else:
        yield Finding("clipboard", "ok", f"It is reached by {found.write[0]}.")
    if time.time() < 0:
        yield Finding("clock", "fail", "The clock of this machine is before 1970.", "Set it.")
