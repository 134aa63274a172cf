"""Errors of accounts and sessions."""

from vaultr import errors


class TokenInvalid(errors.BadRequest):
    """This link is not valid, or no longer valid."""

    slug = "token-invalid"


class RecoveryPending(errors.Forbidden):
    """The recovery must wait until 24 hours after its start."""

    slug = "recovery-pending"


class CredentialsInvalid(errors.Unauthenticated):
    """The email address, the password or the second factor is wrong."""

    slug = "credentials-invalid"


class ProofInvalid(errors.Forbidden):
    """The password or the second factor is wrong."""

    slug = "credentials-invalid"


class SecondFactorRequired(errors.Unauthenticated):
    """The password is right. Send a second factor too."""

    slug = "second-factor-required"


class FactorRequired(errors.Forbidden):
    """The password is right. Send a second factor too."""

    slug = "second-factor-required"


class SessionEnded(errors.Unauthenticated):
    """This session has ended. Log in again."""

    slug = "session-ended"


class Locked(errors.TooMany):
    """Too many failed attempts in a row. Try again after the time in Retry-After."""

    slug = "locked"


class KdfRejected(errors.Unprocessable):
    """These KDF parameters are outside the bounds that protect a password."""

    slug = "kdf-refused"


class StaleRevision(errors.PreconditionFailed):
    """The stored revision or epoch differs from the one that the request expects."""

    slug = "precondition-failed"


class WrapsDiffer(errors.Conflict):
    """`rewrap` must name each wrap of the account exactly once."""

    slug = "conflict"
