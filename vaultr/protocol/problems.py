"""The slugs of all problems and their HTTP statuses. Slugs are API: never rename one."""

from collections.abc import Mapping
from typing import Final

PREFIX: Final = "urn:vaultr:problem:"

_BY_STATUS: Final[Mapping[int, str]] = {
    400: "bad-request token-invalid host-unknown",
    401: "unauthenticated credentials-invalid second-factor-required session-ended",
    403: "forbidden step-up-required csrf recovery-pending https-required",
    404: "not-found vault-not-found item-not-found",
    405: "method-not-allowed",
    409: "conflict vault-exists in-trash head-moved generation-moved rotation-incomplete"
    " not-sequenced-yet quota-exceeded",
    410: "epoch-pruned",
    411: "length-required",
    412: "precondition-failed",
    413: "payload-too-large item-too-large",
    415: "unsupported-media-type",
    422: "unprocessable kdf-refused not-sealed idempotency-reused",
    428: "precondition-required",
    429: "rate-limited locked",
    500: "internal audit-damaged",
    503: "busy switched-off audit-unavailable unavailable",
}

STATUS_OF: Final[dict[str, int]] = {
    slug: status for status, slugs in _BY_STATUS.items() for slug in slugs.split()
}
SLUGS: Final[frozenset[str]] = frozenset(STATUS_OF)

# Two slugs have another status if a live session needs a step-up.
STATUS_AT_STEP_UP: Final[Mapping[str, int]] = {
    "credentials-invalid": 403,
    "second-factor-required": 403,
}


def statuses_of(slug: str) -> frozenset[int]:
    """Return all statuses with which ``slug`` is used."""
    return frozenset({STATUS_OF[slug], STATUS_AT_STEP_UP.get(slug, STATUS_OF[slug])})
