"""Conditional requests: ETags are quoted revisions (or heads), and only the strong single form."""

import re

from flask import request

from vaultr.errors import BadRequest, FieldError
from vaultr.wire.preconditions import Precondition

REVISION = re.compile(r'"([1-9][0-9]{0,15}|0)"')
TAG = re.compile(r'"([A-Za-z0-9_-]{1,64})"')


def precondition() -> Precondition:
    """Read ``If-Match: "<revision>"`` or ``If-None-Match: *`` of a write.

    :raises BadRequest: both, a weak tag, a list, or ``If-Match: *``.
    """
    match, none_match = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if match is not None and none_match is not None:
        raise BadRequest("Send If-Match or If-None-Match, not both.")
    if none_match is not None:
        if none_match.strip() != "*":
            raise BadRequest("A write takes If-None-Match: * only.", errors=_at("If-None-Match"))
        return Precondition(absent=True)
    if match is None:
        return Precondition()
    found = REVISION.fullmatch(match.strip())
    if found is None:
        raise BadRequest("If-Match takes one quoted revision.", errors=_at("If-Match"))
    return Precondition(revision=int(found[1]))


def known_tag() -> str | None:
    """Read ``If-None-Match: "<tag>"`` of a read: what the caller has already.

    :raises BadRequest: a weak tag, a list or ``*``.
    """
    given = request.headers.get("If-None-Match")
    if given is None:
        return None
    found = TAG.fullmatch(given.strip())
    if found is None:
        raise BadRequest("If-None-Match takes one quoted tag.", errors=_at("If-None-Match"))
    return found[1]


def known_revision() -> int | None:
    """Read ``If-None-Match: "<revision>"`` of a read: any other tag is one that nothing has.

    :raises BadRequest: as `known_tag`.
    """
    found = REVISION.fullmatch(f'"{known_tag()}"')
    return int(found[1]) if found else None


def _at(header: str) -> list[FieldError]:
    return [FieldError(f"/headers/{header}", "not in the form this API takes")]
