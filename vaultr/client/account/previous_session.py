"""The session that a login on this device takes the place of: its owner sees one a device."""

from typing import Final
from uuid import UUID

from vaultr.client.account.pending_change import Change
from vaultr.client.errors import VaultrError
from vaultr.client.storage.pins import Pins
from vaultr.client.transport.access_token import session_of
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import Tokens
from vaultr.client.vaults.unlocked_account import UnlockedAccount

# The server has just answered a login. One that is silent now keeps nobody waiting.
_SECONDS: Final = 2.0


def replaced_by(
    opened: UnlockedAccount, tokens: Tokens, *, pins: Pins | None, change: Change | None
) -> UUID | None:
    """Name the session that this device holds, and that the one of ``tokens`` will replace.

    Called while the folder is locked, before anything is written.

    :param pins: those of the device before the login; they say which server it was signed in at.
    :param change: the change of credentials that this device began, if there is one.
    :return: None where no session need end, or none may: this device holds none, or one of
        another account or server; or the credentials were replaced elsewhere, which ended it.
    """
    place = (opened.account_id, opened.session.origin)
    if pins is None or (pins.account_id, pins.origin) != place:
        return None
    try:
        known = opened.store.account()
        kept = opened.session.kept_id()
    except VaultrError:  # a folder that is not whole: a login mends it
        return None
    if known is None or (change is None and known.key_set.epoch != opened.known.key_set.epoch):
        return None
    own = session_of(tokens.access, opened.account_id)
    return None if own is None or kept == own else kept


def end(transport: Transport, tokens: Tokens, session_id: UUID | None) -> None:
    """Ask the server once to end a session of the account; what it answers changes nothing.

    Other processes of this device go on: they are refused once, and find the new tokens.

    :param tokens: of the session that goes on.
    :param session_id: None for nothing to do.
    """
    if session_id is not None:
        authorized = {"Authorization": f"Bearer {tokens.access}"}
        path = f"/auth/sessions/{session_id}"
        transport.send_unheard("DELETE", path, headers=authorized, seconds=_SECONDS)
