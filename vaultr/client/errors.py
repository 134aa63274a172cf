"""The errors that users of the client can get, each with the exit code of the command."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID


class VaultrError(Exception):
    """An error that the client can show to its user; it never contains a secret.

    :cvar exit_code: the exit code of the ``vaultr`` command.
    :cvar advice: what to do next, if the message does not say it.
    """

    exit_code: ClassVar[int] = 1
    advice: ClassVar[str] = ""


class MachineCannot(VaultrError):
    """A machine cannot do this: it reads and writes items, and its owner does everything else."""


class UsageError(VaultrError):
    """The command or call is invalid."""

    exit_code = 2


class Locked(VaultrError):
    """This device is locked: the keys are not in memory."""

    exit_code = 3


class ServerUnreachable(VaultrError):
    """The server did not respond; it is unknown whether the request was processed.

    :ivar retry_after: seconds to wait, as requested by a gateway.
    :ivar not_done: whether it is certain that the request was not processed.
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
    """The server's certificate is invalid, so nothing was sent."""

    advice = (
        "Somebody may be intercepting the connection: do not continue if you do not know the cause."
        " If your server uses a private certificate authority, use --ca-file."
    )


class Refused(VaultrError):
    """The server rejected the request with a problem document.

    :ivar slug: the name of the problem; empty if the document has none.
    :ivar members: the other members of the document, such as ``revision`` or ``errors``.
    """

    slug: str = ""

    def __init__(
        self, slug: str, status: int, detail: str, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or slug or f"The server rejected the request (status {status}).")
        self.slug = slug
        self.status = status
        self.detail = detail
        self.members = dict(members or {})


class NotFound(Refused):
    """It does not exist, or belongs to another account."""


class VaultNotFound(NotFound):
    """No such vault exists."""


class ItemNotFound(NotFound):
    """No such item exists."""


class Unauthenticated(Refused):
    """The access token is missing, expired or invalid."""


class CredentialsInvalid(Refused):
    """The email address, master password, secret key or code is wrong."""


class SecondFactorRequired(Refused):
    """The account has a second factor, and none was sent."""

    advice = "Without a terminal, pass its code or a recovery code with --totp-fd."


class SessionEnded(Refused):
    """The session has ended: log in again."""

    advice = "Log in again: vaultr login. Use --offline to read this device's copy."


class PasswordChangedElsewhere(SessionEnded):
    """The master password was changed or recovered elsewhere, which ended this device's session."""

    advice = (
        "Log in with the new password: vaultr login --changed. If you know of no change, do not log"
        " in, and ask the operator of the server. Use --offline to read this device's copy."
    )


class StepUpRequired(Refused):
    """The action requires the master password again."""


class TokenInvalid(Refused):
    """The token from the email is wrong, used or expired."""


class Conflict(Refused):
    """The request conflicts with what the server has stored."""


class VaultExists(Conflict):
    """A vault with this id exists."""


class InTrash(Conflict):
    """The item is in the trash."""

    advice = "To restore it: vaultr restore ITEM"


class HeadMoved(Conflict):
    """Another write came first; rebase and retry."""


class GenerationMoved(Conflict):
    """The vault has newer keys: fetch them and seal again."""


class RotationIncomplete(Conflict):
    """Part of the vault is still sealed under older keys."""


class QuotaExceeded(Conflict):
    """A quota is reached."""


class PreconditionFailed(Refused):
    """The stored revision is not the expected one."""

    @property
    def revision(self) -> int | None:
        """The stored revision, if the server sent it."""
        revision = self.members.get("revision")
        return revision if type(revision) is int else None


class TooLarge(Refused):
    """The body or the item is larger than the server allows."""


class RateLimited(Refused):
    """Too many requests."""


class AccountLocked(RateLimited):
    """The account is locked for a while after too many wrong passwords."""


class Unavailable(Refused):
    """The server cannot process the request now."""


_STANDARD_MEMBERS = frozenset({"type", "title", "status", "detail"})

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


def error_from_problem(slug: str, status: int, problem: Mapping[str, Any]) -> Refused:
    """Return the error for a problem document; plain :class:`Refused` if its slug is unknown."""
    detail = problem.get("detail") or problem.get("title")
    members = {name: value for name, value in problem.items() if name not in _STANDARD_MEMBERS}
    kind = _BY_SLUG.get(slug, Refused)
    return kind(slug, status, detail if isinstance(detail, str) else "", members)


_UNCHANGED = "This device's copy was not changed. Use --offline to read it."
_ASK_OPERATOR = "Try again; if it happens again, ask the server's operator."
_LIST_DIFFERENCES = (
    f"{_UNCHANGED} To list the differences: vaultr sync --explain. If no backup was restored,"
    " somebody may be altering your data on the server: ask its operator."
)


class IntegrityError(VaultrError):
    """The server's response failed verification; nothing was stored, and nothing was repaired.

    :ivar vault_id: the vault, if the error is about one.
    """

    exit_code = 5
    advice = f"{_UNCHANGED} {_ASK_OPERATOR}"

    def __init__(self, message: str, *, vault_id: UUID | None = None) -> None:
        super().__init__(message)
        self.vault_id = vault_id


class UnsafeParameters(IntegrityError):
    """The KDF parameters are outside the bounds; the password was not used."""

    advice = (
        "Nothing was changed on this device. No Vaultr account has such values: do not type your"
        " password for this server, and ask its operator."
    )


class PinMismatch(IntegrityError):
    """The server's account data differs from the data that this client has pinned."""

    advice = (
        "Nothing was changed on this device. If you did not change your account yourself, this may"
        " be another server: do not type your password, and ask the server's operator."
    )


class SealBroken(IntegrityError):
    """A sealed value does not open: it is damaged, moved, or sealed under another key."""

    def __init__(self, message: str, *, vault_id: UUID | None = None) -> None:
        super().__init__(f"{message[:1].upper()}{message[1:]}", vault_id=vault_id)


class ChainBroken(IntegrityError):
    """The log of a vault does not continue the history that this client knows."""

    advice = _LIST_DIFFERENCES


class RolledBack(IntegrityError):
    """The server shows an older state than one of the owner's devices has seen."""

    advice = _LIST_DIFFERENCES


class StateMismatch(IntegrityError):
    """The server's items are not those that the log vouches for."""

    advice = _LIST_DIFFERENCES


class AnswerInvalid(IntegrityError):
    """The response does not follow the protocol, or contradicts itself.

    :ivar message: a sentence, or in lower case what is wrong with the response.
    """

    advice = (
        "This is not a Vaultr server, it is newer than this client, or somebody altered its"
        f" response. {_UNCHANGED} {_ASK_OPERATOR}"
    )

    def __init__(self, message: str, *, vault_id: UUID | None = None) -> None:
        if message[:1].islower():
            message = f"The server's response is invalid: {message}."
        super().__init__(message, vault_id=vault_id)


class NotVaultr(AnswerInvalid):
    """Something else than a Vaultr server responded, such as a web site or a login page."""

    advice = (
        "Check the URL in --url or VAULTR_URL. If your network asks you to log in with a browser,"
        f" do that first. {_UNCHANGED}"
    )
