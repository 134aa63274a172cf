"""Check a device: its folder, its keys, its copy of the vaults, and the connection."""

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
from vaultr.client.doctor.check_result import CheckResult
from vaultr.client.doctor.reachability import check_server
from vaultr.client.errors import VaultrError
from vaultr.client.storage import freshness, secret_keys
from vaultr.protocol import kdf
from vaultr.version import __version__

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import DeviceSession

_OLD: Final = timedelta(days=30)
_SPACE_BYTES: Final = 64 * 1024 * 1024
# The variables that this client reads; one with a similar name may contain a misplaced secret.
_KNOWN: Final = frozenset(
    (
        "VAULTR_URL",
        "VAULTR_CA_FILE",
        "VAULTR_IDLE",
        "VAULTR_DIR",
        "VAULTR_AGENT",
        "VAULTR_KEYRING",
        "VAULTR_ENV",
        "VAULTR_HOME",
    )
)


def checkup(device: "DeviceSession") -> Iterator[CheckResult]:
    """Run all checks. They only renew an expired token, and need no password."""
    checks: tuple[tuple[str, Callable[[DeviceSession], Iterator[CheckResult]]], ...] = (
        ("version", _version),
        ("folder", _folder),
        ("account", _account),
        ("keys", _keys),
        ("copy", _copy),
        ("server", check_server),
        ("desktop", _desktop),
    )
    for name, check in checks:
        try:
            yield from check(device)
        except VaultrError as error:
            code = error.exit_code
            yield CheckResult(name, "fail", str(error), error.advice, code)


def _version(_: "DeviceSession") -> Iterator[CheckResult]:
    python = f"Python {platform.python_version()} on {platform.system()}"
    yield CheckResult("version", "ok", f"vaultr {__version__}, {python}")
    odd = sorted(name for name in os.environ if name.startswith("VAULTR_") and name not in _KNOWN)
    if odd:
        yield CheckResult(
            "environment",
            "warn",
            f"{', '.join(odd)}: Vaultr does not read these variables.",
            "If one of them is a secret, unset it: every program that you start can read it.",
        )


def _folder(device: "DeviceSession") -> Iterator[CheckResult]:
    path = device.store.folder.path
    if not path.exists():
        yield CheckResult(
            "folder", "ok", f"{path} does not exist yet. A signup or a login creates it."
        )
        return
    device.store.device()  # fails for a folder of another user or an altered file
    open_ones = [each for each in (path, *path.rglob("*")) if _is_open(each)]
    if open_ones:
        yield CheckResult(
            "folder",
            "fail",
            f"Other users can access {', '.join(map(str, open_ones[:3]))}"
            f"{' and more' if len(open_ones) > 3 else ''}.",
            f"Remove their permissions: chmod -R go= {path}",
        )
    elif not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        text = f"{path} is not writable, and most commands write to it."
        yield CheckResult("folder", "fail", text, "Make it writable, or set VAULTR_DIR to another.")
    else:
        yield CheckResult("folder", "ok", f"Only you can access {path}.")
    free = shutil.disk_usage(path).free
    if free < _SPACE_BYTES:
        yield CheckResult(
            "disk", "warn", f"Only {free // 1024 // 1024} MiB are free.", "Free some disk space."
        )


def _is_open(place: Path) -> bool:
    try:
        seen = place.lstat()
    except FileNotFoundError:  # another command has just replaced the file
        return False
    return not stat.S_ISLNK(seen.st_mode) and bool(seen.st_mode & 0o077)


def _account(device: "DeviceSession") -> Iterator[CheckResult]:
    known = device.store.device()
    if known.pins is None:
        text, advice = (
            "This device belongs to no account yet.",
            "Run vaultr signup or vaultr login.",
        )
        if known.waiting:
            text = f"You signed up as {known.waiting[-1].email}, but have not used the account yet."
            advice = (
                "Confirm the email address: vaultr verify TOKEN (to get the email again: vaultr "
                "resend). Then run vaultr unlock."
            )
        yield CheckResult("account", "warn", text, advice)
        return
    device.store.account()
    yield CheckResult("account", "ok", f"{known.email} at {known.pins.origin}")
    if kdf.is_below_recommended(known.pins.kdf):
        text = "The KDF cost of the master password is below today's default: guessing is easier."
        yield CheckResult("KDF parameters", "warn", text, "Raise it: vaultr passwd --kdf-only")


def _keys(device: "DeviceSession") -> Iterator[CheckResult]:
    known = device.store.device()
    if known.pins is not None:
        place = device.store.secret_key_place(known.pins.account_id)
        if not known.pins.secret_key:
            text = "The account has none: only its master password protects it."
            yield CheckResult("secret key", "warn", text)
        elif place is None:
            advice = "Enter it again: vaultr login"
            yield CheckResult("secret key", "fail", "It is not on this device.", advice)
        else:
            device.store.secret_key(known.pins.account_id)  # fails if the keyring is locked
            yield CheckResult("secret key", "ok", f"It is in {place}.")
    keyring = secret_keys.Keyring.find()
    text = "Not available: secret keys are stored in private files (mode 0600)."
    yield CheckResult("keyring", "ok", text if keyring is None else f"Available: {keyring.name}")
    yield _agent(device)


def _agent(device: "DeviceSession") -> CheckResult:
    name = "unlocked"
    if not agent_allowed():
        return CheckResult(
            name, "ok", "VAULTR_AGENT=off: each command asks for the master password."
        )
    held = None if device.agent is None else device.agent.held()
    if held is None:
        return CheckResult(
            name,
            "ok",
            "No: each command asks for the master password. To change that: vaultr unlock.",
        )
    return CheckResult(name, "ok", f"Yes, {held.text}.")


def _copy(device: "DeviceSession") -> Iterator[CheckResult]:
    cache = device.store.cache
    vaults = [cache.load(vault_id) for vault_id in cache.ids()]
    held = [vault for vault in vaults if vault is not None]
    items = sum(len(vault.state.items) for vault in held)
    age = freshness.age(device.store.folder)
    how_old = "of unknown age" if age is None else f"{freshness.age_text(age)} old"
    text = f"{_counted(len(held), 'vault')}, {_counted(items, 'item')}, {how_old}."
    if held and (age is None or age > _OLD):
        yield CheckResult("copy", "warn", text, "Bring it up to date: vaultr sync")
    else:
        yield CheckResult("copy", "ok", text if held else "Nothing has been fetched yet.")


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _desktop(_: "DeviceSession") -> Iterator[CheckResult]:
    try:
        found = Clipboard.find(os.environ)
    except NoClipboard as error:
        yield CheckResult("clipboard", "ok", f"{error} {error.advice}")
    else:
        yield CheckResult("clipboard", "ok", f"Available through {found.write[0]}.")
    if time.time() < 0:
        yield CheckResult("clock", "fail", "This machine's clock is before 1970.", "Set the clock.")
