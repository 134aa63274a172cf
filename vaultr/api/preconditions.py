"""Conditional requests. An ETag is a quoted revision or head; a header has exactly one ETag."""

import re

from flask import request

from vaultr.errors import BadRequest, FieldError
from vaultr.wire.preconditions import Precondition

REVISION = re.compile(r'"([1-9][0-9]{0,15}|0)"')
TAG = re.compile(r'"([A-Za-z0-9_-]{1,64})"')
# Reads compare weakly (RFC 9110, section 13.1.2): proxies that compress a response weaken its tag.
READ_TAG = re.compile(f"(?:W/)?{TAG.pattern}")


def precondition() -> Precondition:
    """Read ``If-Match: "<revision>"`` or ``If-None-Match: *`` of a write.

    :raises BadRequest: both headers, a weak tag, a list, or ``If-Match: *``.
    """
    match, none_match = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if match is not None and none_match is not None:
        raise BadRequest("Send If-Match or If-None-Match, not both.")
    if none_match is not None:
        if none_match.strip() != "*":
            raise BadRequest("For a write, If-None-Match must be *.", errors=_at("If-None-Match"))
        return Precondition(absent=True)
    if match is None:
        return Precondition()
    found = REVISION.fullmatch(match.strip())
    if found is None:
        raise BadRequest("If-Match must be one quoted revision.", errors=_at("If-Match"))
    return Precondition(revision=int(found[1]))


def known_tag() -> str | None:
    """Return the tag in ``If-None-Match``, weak or strong: the version that the client has.

    :raises BadRequest: a list or ``*``.
    """
    header = request.headers.get("If-None-Match")
    if header is None:
        return None
    found = READ_TAG.fullmatch(header.strip())
    if found is None:
        raise BadRequest("If-None-Match must be one quoted ETag.", errors=_at("If-None-Match"))
    return found[1]


def known_revision() -> int | None:
    """Read ``If-None-Match: "<revision>"`` of a read; any other tag matches nothing.

    :raises BadRequest: see `known_tag`.
    """
    found = REVISION.fullmatch(f'"{known_tag()}"')
    return int(found[1]) if found else None


def _at(header: str) -> list[FieldError]:
    return [FieldError(f"/headers/{header}", "malformed")]
