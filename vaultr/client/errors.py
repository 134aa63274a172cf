"""What can go wrong for a user of the client, each with the exit code of the command."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID


class VaultrError(Exception):
    """Something a caller of the client can be told; nothing in it is secret.

    :cvar advice: what a user of the command can do about it, where its message does not say.
    """

    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = ""


class UsageError(VaultrError):
    """The command or call cannot be understood."""

    exit_code = 2


class Locked(VaultrError):
    """This device is locked: the keys are not in memory."""

    exit_code = 3


class ServerUnreachable(VaultrError):
    """No answer came, so nothing is known of what was done.

    :ivar retry_after: for how many seconds a gateway in the server's place asked to wait.
    :ivar not_done: whether it is certain that nothing was done.
    :ivar timed_out: whether the server stayed silent until the request's own time limit.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        retry_after: int | None = None,
        not_done: bool = False,
        timed_out: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.not_done = not_done
        self.timed_out = timed_out


class CertificateInvalid(ServerUnreachable):
    """The server's certificate does not hold, so nothing was sent."""

    advice = (
        "Somebody may be in between: do not go on if you do not know why."
        " A private authority is named by --ca-file."
    )


class Refused(VaultrError):
    """The server said no, in a problem document.

    :ivar slug: the name of the refusal, or an empty text when the document named none.
    :ivar members: all other members of the document, such as ``revision`` or ``errors``.
    """

    slug: str = ""

    def __init__(
        self, slug: str, status: int, detail: str, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or slug or f"the server refused with status {status}")
        self.slug = slug
        self.status = status
        self.detail = detail
        self.members = dict(members or {})


class NotFound(Refused):
    """There is nothing there, or nothing of ours."""


class VaultNotFound(NotFound):
    """There is no such vault."""


class ItemNotFound(NotFound):
    """There is no such item."""


class Unauthenticated(Refused):
    """The access token is missing, expired or void."""


class CredentialsInvalid(Refused):
    """The address, the password, the secret key or the code is wrong."""


class SecondFactorRequired(Refused):
    """A second factor is set up and was not sent."""

    advice = "Without a terminal its code, or a recovery code, is handed over by --totp-fd."


class SessionEnded(Refused):
    """The session is over: sign in again."""

    advice = "Sign in again: vaultr login. What this device holds can be read with --offline."


class StepUpRequired(Refused):
    """Prove the password again first."""


class TokenInvalid(Refused):
    """The token from the mail is wrong, used or too old."""


class Conflict(Refused):
    """The request does not fit what is stored."""


class VaultExists(Conflict):
    """A vault of this id exists."""


class InTrash(Conflict):
    """The item is in the trash."""


class HeadMoved(Conflict):
    """Somebody wrote to the vault in between: rebase and retry."""


class GenerationMoved(Conflict):
    """The vault has newer keys: take them and seal again."""


class RotationIncomplete(Conflict):
    """Something of the vault is still sealed under older keys."""


class QuotaExceeded(Conflict):
    """A quota is reached."""


class PreconditionFailed(Refused):
    """What is stored has another revision than the one expected."""

    @property
    def revision(self) -> int | None:
        """The stored revision, where the server named it."""
        revision = self.members.get("revision")
        return revision if type(revision) is int else None


class TooLarge(Refused):
    """The body or the item is larger than the server takes."""


class RateLimited(Refused):
    """Too many requests."""


class AccountLocked(RateLimited):
    """Too many wrong passwords: the account waits."""


class Unavailable(Refused):
    """The server cannot do this now."""


_SAID_ELSEWHERE = frozenset({"type", "title", "status", "detail"})

_BY_SLUG: Mapping[str, type[Refused]] = {
    "not-found": NotFound,
    "vault-not-found": VaultNotFound,
    "item-not-found": ItemNotFound,
    "unauthenticated": Unauthenticated,
    "credentials-invalid": CredentialsInvalid,
    "second-factor-required": SecondFactorRequired,
    "session-ended": SessionEnded,
    "step-up-required": StepUpRequired,
    "token-invalid": TokenInvalid,
    "conflict": Conflict,
    "vault-exists": VaultExists,
    "in-trash": InTrash,
    "head-moved": HeadMoved,
    "generation-moved": GenerationMoved,
    "rotation-incomplete": RotationIncomplete,
    "quota-exceeded": QuotaExceeded,
    "precondition-failed": PreconditionFailed,
    "payload-too-large": TooLarge,
    "item-too-large": TooLarge,
    "rate-limited": RateLimited,
    "locked": AccountLocked,
    "busy": Unavailable,
    "switched-off": Unavailable,
    "audit-unavailable": Unavailable,
    "unavailable": Unavailable,
}


def refusal(slug: str, status: int, problem: Mapping[str, Any]) -> Refused:
    """Turn a problem document into the class of its slug; an unknown one is plain Refused."""
    detail = problem.get("detail") or problem.get("title")
    members = {name: value for name, value in problem.items() if name not in _SAID_ELSEWHERE}
    kind = _BY_SLUG.get(slug, Refused)
    return kind(slug, status, detail if isinstance(detail, str) else "", members)


_KEPT = "Nothing was taken over; what this device holds can still be read with --offline."
_DIFFERS = f"{_KEPT} What differs is listed by: vaultr sync --explain"


class IntegrityError(VaultrError):
    """The server's answer cannot be true. Nothing was taken over, nothing is repaired silently.

    :ivar vault_id: the vault it is about, where it is about one.
    """

    exit_code = 5
    advice = _KEPT

    def __init__(self, message: str, *, vault_id: UUID | None = None) -> None:
        super().__init__(message)
        self.vault_id = vault_id


class UnsafeParameters(IntegrityError):
    """The derivation parameters are outside the bounds; the password was not used."""

    advice = "No Vaultr account has such parameters: do not type the password for this server."


class PinMismatch(IntegrityError):
    """The server shows other account data than this client has pinned."""

    advice = "Unless the owner did this, it may be another server: do not type the password there."


class SealBroken(IntegrityError):
    """A sealed value does not open: it is damaged, moved, or not ours."""


class ChainBroken(IntegrityError):
    """The log of a vault does not continue the history that this client knows."""

    advice = _DIFFERS


class RolledBack(IntegrityError):
    """The server shows an older state than this client, or one of the owner's others, has seen."""

    advice = _DIFFERS


class StateMismatch(IntegrityError):
    """The items that the server shows are not those that the log vouches for."""

    advice = _DIFFERS


class AnswerInvalid(IntegrityError):
    """The answer has not the form that the protocol gives it, or contradicts itself."""

    advice = f"No Vaultr server answers so, or it is newer than this client. {_KEPT}"
