"""The session that a login replaces: each device has only one."""

from typing import Final
from uuid import UUID

from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.errors import VaultrError
from vaultr.client.storage.pins import Pins
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import Tokens, session_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount

# The server has just responded to a login; if it does not respond now, do not wait for it.
_SECONDS: Final = 2.0


def replaced_by(
    opened: UnlockedAccount, tokens: Tokens, *, pins: Pins | None, change: CredentialChange | None
) -> UUID | None:
    """Return the id of this device's stored session, which the session of ``tokens`` will replace.

    Call it while the folder is locked, before anything is written.

    :param pins: the device's pins before the login, with the server that it was logged in to.
    :param change: this device's pending change of credentials.
    :return: None if no session must be ended: this device has none, it belongs to another account
        or server, or a change of credentials elsewhere has ended it.
    """
    account_and_server = (opened.account_id, opened.session.origin)
    if pins is None or (pins.account_id, pins.origin) != account_and_server:
        return None
    try:
        known = opened.store.account()
        stored = opened.session.stored_id()
    except VaultrError:  # a damaged folder, which the login repairs
        return None
    if known is None or (change is None and known.key_set.epoch != opened.known.key_set.epoch):
        return None
    own = session_of(tokens.access, opened.account_id)
    return None if own is None or stored == own else stored


def end(transport: Transport, tokens: Tokens, session_id: UUID | None) -> None:
    """Ask the server once to end a session of the account; ignore the response.

    Other processes of this device continue: after one rejected request they use the new tokens.

    :param tokens: the tokens of the new session.
    :param session_id: the session to end; None for none.
    """
    if session_id is not None:
        authorized = {"Authorization": f"Bearer {tokens.access}"}
        path = f"/auth/sessions/{session_id}"
        transport.send_ignoring_response("DELETE", path, headers=authorized, seconds=_SECONDS)
