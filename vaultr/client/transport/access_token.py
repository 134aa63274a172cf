"""What a client reads in an access token: of which session it is. All else is for the server."""

from uuid import UUID

from vaultr.client.strict_json import Fields, read_object
from vaultr.protocol.encoding import unb64

_PARTS = 3


def session_of(token: str, account_id: UUID) -> UUID | None:
    """Give the session of an account's access token; None where it tells none.

    No signature is checked, for that takes the server's key: whoever made the token could write
    any id there, so nothing may follow from it but what the server could do by itself.

    Source: RFC 7519, section 3.
    """
    parts = token.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        claims = Fields(read_object(unb64(parts[1])), "token", ValueError)
        owner, session_id = claims.uuid("sub"), claims.uuid("sid")
    except ValueError:
        return None
    return session_id if owner == account_id else None
