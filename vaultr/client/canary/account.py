"""A throw-away account with markers: signed up, filled, opened and deleted through the API.

Every session uses a temporary folder, so that this device's account is never touched. Each session
is a new device of the canary's account.
"""

import contextlib
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from vaultr.client.canary.canary_file import CONFIRMED, PLANTED, REMOVED, SIGNED_UP, Canary
from vaultr.client.canary.content import Content
from vaultr.client.crypto.keys import secret_key_bytes, secret_key_text
from vaultr.client.errors import NotFound, UsageError, VaultrError
from vaultr.client.items.schemas import Draft
from vaultr.client.vaultr_client import Vaultr
from vaultr.protocol.canary import Marker

_PASSWORD_BYTES: Final = 18
_MACHINE: Final = "canary"
_LIFETIME: Final = timedelta(days=90)
_NOT_ITEMS: Final = ("account.", "machine.")


class MarkersMissing(VaultrError):
    """A planted marker can no longer be read."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server of the canary's account.

    :ivar options: further arguments of :class:`Vaultr`, such as ``ca_file``.
    """

    url: str
    options: dict[str, Any]

    @contextlib.contextmanager
    def device(self) -> Iterator[Vaultr]:
        """Open a new device; at the end remove its folder, including the secret key in it."""
        with tempfile.TemporaryDirectory(prefix="vaultr-canary-") as folder:
            home = Path(folder) / "vaultr"
            with Vaultr(self.url, home=home, agent=False, **self.options) as vaultr:
                try:
                    yield vaultr
                finally:
                    _forget_secret_key(vaultr)

    @contextlib.contextmanager
    def session(self, canary: Canary) -> Iterator[Vaultr]:
        """Log in as the canary, and log out at the end."""
        with self.device() as vaultr:
            key = secret_key_bytes(canary.secret_key)
            vaultr.login(canary.email, canary.password, secret_key=key)
            vaultr.sync()
            yield vaultr
            vaultr.logout()


def _forget_secret_key(vaultr: Vaultr) -> None:
    """Delete the secret key, which may be in the system's keyring instead of the folder."""
    known = vaultr.device.store.account()
    if known is not None:
        vaultr.device.store.forget_secret_key(known.derivation.account_id)


def sign_up(server: Server, email: str) -> tuple[Canary, str]:
    """Create an account, which exists once its email address is confirmed.

    :return: the canary, and the code that the email must show.
    """
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    with server.device() as vaultr:
        made = vaultr.signup(email, password)
        vaultr.device.store.forget_secret_key(made.account_id)
    key = made.secret_key or b""
    markers = (Marker("account.password", password), Marker("account.secret-key", key))
    return Canary(SIGNED_UP, server.url, email, password, secret_key_text(key), markers), made.code


def confirm(server: Server, canary: Canary, token: str) -> Canary:
    """Confirm the email address with the token from the email."""
    with server.device() as vaultr:
        vaultr.verify(token)
    return canary.at(CONFIRMED)


def plant(server: Server, canary: Canary, content: Content, imported: Sequence[Draft]) -> Canary:
    """Fill the account: a vault, items of every type, an import, and a machine that writes.

    :param imported: the result of importing ``content.dotenv``.
    """
    with server.session(canary) as vaultr:
        vault = str(vaultr.create_vault(content.vault).id)
        vaultr.add_many(content.drafts, vault=vault)
        vaultr.import_drafts(imported, vault=vault)
        token = _add_machine(vaultr, canary, vault)
        if token is not None:
            with Vaultr.for_machine(server.url, token, **server.options) as machine:
                one = content.machine
                machine.add(one.type, one.overview, one.detail, vault=vault)
    planted = [*canary.markers, *content.markers]
    if token is None:
        planted = [one for one in planted if not one.name.startswith("machine-item.")]
    else:
        planted.append(Marker("machine.token", token))
    return canary.at(PLANTED, markers=tuple(planted), machine_token=token)


def _add_machine(vaultr: Vaultr, canary: Canary, vault: str) -> str | None:
    """Add a machine and return its token; None if the server does not support machines."""
    vaultr.step_up(canary.password)
    expires_at = datetime.now(UTC) + _LIFETIME
    try:
        return vaultr.add_machine(_MACHINE, {vault: "write"}, expires_at=expires_at)[1]
    except NotFound:
        return None


def open_markers(server: Server, canary: Canary) -> list[Marker]:
    """Read every planted item, as the owner and as the machine, and return the markers.

    The login proves password and secret key; the machine's requests prove its token.

    :raises MarkersMissing: the items no longer contain a marker.
    """
    if canary.stage != PLANTED:
        raise UsageError("This canary has nothing to open: it is not planted, or was removed.")
    with server.session(canary) as vaultr:
        texts = {one.name for one in vaultr.vaults()} | set(_texts_of(vaultr))
    _check(canary.markers, texts, "the owner")
    if canary.machine_token is not None:
        with Vaultr.for_machine(server.url, canary.machine_token, **server.options) as machine:
            texts = {one.name for one in machine.vaults()} | set(_texts_of(machine))
        _check(canary.markers, texts, "the machine")
    return list(canary.markers)


def _texts_of(vaultr: Vaultr) -> Iterator[str]:
    for item in vaultr.each_revealed():
        yield from _strings([item.overview, item.detail])


def _strings(value: object) -> Iterator[str]:
    """Yield every string in a JSON value, except keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _check(markers: Iterable[Marker], texts: set[str], reader: str) -> None:
    whole = "\0".join(texts)
    missing = [
        one.name
        for one in markers
        if isinstance(one.value, str)
        and not one.name.startswith(_NOT_ITEMS)
        and one.value not in whole
    ]
    if missing:
        names = ", ".join(sorted(missing))
        raise MarkersMissing(f"These markers cannot be read as {reader}: {names}.")


def remove(server: Server, canary: Canary) -> Canary:
    """Delete the account and everything in it."""
    if canary.stage not in (CONFIRMED, PLANTED):
        raise UsageError("This canary has no account: it was not confirmed, or is removed already.")
    with server.device() as vaultr:
        key = secret_key_bytes(canary.secret_key)
        vaultr.login(canary.email, canary.password, secret_key=key)
        vaultr.step_up(canary.password)
        vaultr.delete_account()
    return canary.at(REMOVED)
