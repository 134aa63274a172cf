"""Count the values that still need each server key, and reseal those that can be resealed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from vaultr.audit import service as audit
from vaultr.auth import service as auth
from vaultr.mail import service as mail
from vaultr.security.keyring import Resealed


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A use of a key: a number of values of one kind that need it."""

    count: int
    what: str

    def __str__(self) -> str:
        return f"{self.count} {self.what}"


_WAYS_OUT: Final[dict[str, str]] = {
    "JWT_SECRET": "Tokens are valid for 10 minutes: wait until all servers sign with the new key.",  # nosec B105 - a text for people
    "PEPPER": "Wait: each verifier is replaced when its owner logs in.",
    "FACTOR_KEY": "Run `flask keys reseal` to reseal them.",
    "MAIL_KEY": "Run `flask keys reseal` to reseal them.",
    "AUDIT_KEY": "Keep the key as long as the events, which cannot be verified without it.",
}
# The next step for altered values, which no key can open.
_CHANGED: Final[dict[str, tuple[str, str]]] = {
    "FACTOR_KEY": (
        "second factors",
        "owners can log in with a recovery code and set them up again, or you can run `flask"
        " accounts reset-factors`",
    ),
    "MAIL_KEY": (
        "emails in the outbox",
        "`flask mail list` shows them as `unreadable` after the next attempt; they are removed 30"
        " days after they were written",
    ),
}


_BY_KEY: Final[dict[str, Callable[[], Mapping[str, int]]]] = {
    "PEPPER": auth.verifiers_by_key,
    "FACTOR_KEY": auth.factors_by_key,
}
_BESIDE: Final[dict[str, Callable[[Collection[str]], str | None]]] = {
    "MAIL_KEY": mail.key_beside,
    "AUDIT_KEY": audit.key_beside,
}
_MOST_MISSING: Final = 10


def use_of(name: str, key_id: str) -> KeyUse:
    """Count the values that need one key."""
    match name:
        case "JWT_SECRET":
            tokens = auth.access_tokens_by_key()
            # Older versions did not store which key signed, so it may be any key.
            return KeyUse(tokens.get(key_id, 0) + tokens.get(None, 0), "sessions with a live token")
        case "PEPPER":
            return KeyUse(auth.verifiers_by_key().get(key_id, 0), "accounts and waiting signups")
        case "FACTOR_KEY":
            return KeyUse(auth.factors_by_key().get(key_id, 0), "second factors")
        case "MAIL_KEY":
            return KeyUse(mail.emails_under(key_id), "emails in the outbox")
        case _:
            return KeyUse(audit.events_under(key_id), "audit events")


def missing(name: str, known: Collection[str]) -> dict[str, KeyUse]:
    """Return, by id, the keys that are needed but not among ``known``.

    For JWT_SECRET none is needed: if the key of a token is missing, the client refreshes the token.
    """
    if name in _BY_KEY:
        needed = [key_id for key_id in _BY_KEY[name]() if key_id not in known]
        return {key_id: use_of(name, key_id) for key_id in sorted(needed)}
    found: dict[str, KeyUse] = {}
    while name in _BESIDE and len(found) < _MOST_MISSING:
        key_id = _BESIDE[name]([*known, *found])
        if key_id is None or key_id in found:
            break
        found[key_id] = use_of(name, key_id)
    return found


def way_out(name: str) -> str:
    """Return a sentence that says when the key is no longer needed, or how to reach that."""
    return _WAYS_OUT[name]


RESEALERS: Final[dict[str, Callable[[], Resealed]]] = {
    "FACTOR_KEY": auth.reseal_factors,
    "MAIL_KEY": mail.reseal_emails,
}


def left_over(name: str, count: int) -> str:
    """Return a message about values that could not be resealed, with the next step."""
    what, if_changed = _CHANGED[name]
    return (
        f"{name}: {count} {what} cannot be opened and were not changed. If `flask keys status`"
        f" names a missing key, add it to {name} after the first key, and run this command again."
        f" Otherwise they were altered: {if_changed}."
    )


def reseal_all() -> bool:
    """Reseal values that are sealed under a key other than the first one.

    :return: False: all values that can be opened are done; the log lists the others.
    """
    for reseal in RESEALERS.values():
        reseal()
    return False
