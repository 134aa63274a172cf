"""`/api/v1/breach`: ranges of hashes of breached passwords."""

from flask import Blueprint, Response

from vaultr.api.operation import operation
from vaultr.breach import service
from vaultr.breach.responses import RangeText

blueprint = Blueprint("breach", __name__, url_prefix="/api/v1/breach")

STATUS = "X-Breach-Status"


@blueprint.get("/<prefix:prefix>")
@operation(access="read", media_type="text/plain", returns=RangeText)
def show_range(prefix: str) -> Response:
    """Return the hashes that begin with five hexadecimal digits, as lines `SUFFIX:COUNT`.

    The hashes are SHA-1 of breached passwords; a count of 0 is padding. If the source is
    unavailable, the body is empty and `X-Breach-Status` is `unavailable`. Never request the range
    of a master password: five digits are 20 bits of its hash.
    """
    body = service.find_range(prefix)
    response = Response(body or "", mimetype="text/plain")
    if body is None:
        response.headers[STATUS] = "unavailable"
    else:
        response.headers["Cache-Control"] = "private, max-age=300"
    return response
