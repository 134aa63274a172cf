"""For what each of the server's keys is needed still, and what can be sealed anew."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from vaultr.audit import key_usage as audit
from vaultr.auth import service as auth
from vaultr.mail import service as mail
from vaultr.security.keyring import Resealed


@dataclass(frozen=True, slots=True)
class Use:
    """What still needs a key: so many things of one kind."""

    count: int
    what: str

    def __str__(self) -> str:
        return f"{self.count} {self.what}"


_WAYS_OUT: Final[dict[str, str]] = {
    "JWT_SECRET": "Tokens live 10 minutes: wait, once all sign anew.",  # nosec B105 - words for people
    "PEPPER": "Each verifier is renewed when its owner signs in.",
    "FACTOR_KEY": "`flask keys reseal` seals them anew.",
    "MAIL_KEY": "`flask keys reseal` seals them anew.",
    "AUDIT_KEY": "They cannot be verified without it: keep it as long as the events.",
}
# What can be done about values that were changed, so that no key opens them any more.
_CHANGED: Final[dict[str, tuple[str, str]]] = {
    "FACTOR_KEY": (
        "second factors",
        "their owners sign in by a recovery code and set them up anew, or `flask accounts"
        " reset-factors` removes them",
    ),
    "MAIL_KEY": (
        "letters in the outbox",
        "`flask mail list` shows them as `unreadable` once they were tried; they are removed 30"
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


def use_of(name: str, key_id: str) -> Use:
    """Count what needs one key."""
    match name:
        case "JWT_SECRET":
            tokens = auth.access_tokens_by_key()
            # Of what an older version signed the key is not known: it may be any.
            return Use(tokens.get(key_id, 0) + tokens.get(None, 0), "sessions with a live token")
        case "PEPPER":
            return Use(auth.verifiers_by_key().get(key_id, 0), "accounts and waiting signups")
        case "FACTOR_KEY":
            return Use(auth.factors_by_key().get(key_id, 0), "second factors")
        case "MAIL_KEY":
            return Use(mail.emails_under(key_id), "letters in the outbox")
        case _:
            return Use(audit.events_under(key_id), "audit events")


def missing(name: str, known: Collection[str]) -> dict[str, Use]:
    """Tell by its id of each key that something needs and that is not among the ``known`` ones.

    Of a JWT_SECRET none is: without it whoever holds a token of it refreshes, and loses nothing.
    """
    if name in _BY_KEY:
        needed = [one for one in _BY_KEY[name]() if one not in known]
        return {one: use_of(name, one) for one in sorted(needed)}
    found: dict[str, Use] = {}
    while name in _BESIDE and len(found) < _MOST_MISSING:
        key_id = _BESIDE[name]([*known, *found])
        if key_id is None or key_id in found:
            break
        found[key_id] = use_of(name, key_id)
    return found


def way_out(name: str) -> str:
    """Return how a key comes to be needed no longer."""
    return _WAYS_OUT[name]


RESEALERS: Final[dict[str, Callable[[], Resealed]]] = {
    "FACTOR_KEY": auth.reseal_factors,
    "MAIL_KEY": mail.reseal_emails,
}


def left_over(name: str, count: int) -> str:
    """Say what of a set could not be sealed anew, and what to do next."""
    what, if_changed = _CHANGED[name]
    return (
        f"{name}: {count} {what} cannot be opened, and stay as they are. If `flask keys status`"
        f" names a missing key, put it back behind the first one of {name} and run this again."
        f" Else they were changed: {if_changed}."
    )


def reseal_all() -> bool:
    """Seal anew what is sealed under a key that is not the first.

    :return: False; all that can be opened is done, and what cannot is in the log.
    """
    for reseal in RESEALERS.values():
        reseal()
    return False
