"""What accounts and sessions refuse."""

from vaultr import errors


class TokenInvalid(errors.BadRequest):
    """This link is not valid, or not any more."""

    slug = "token-invalid"


class RecoveryPending(errors.Forbidden):
    """The recovery has to wait: 24 hours from its start."""

    slug = "recovery-pending"


class CredentialsInvalid(errors.Unauthenticated):
    """The address, the password or the code of the second factor is wrong."""

    slug = "credentials-invalid"


class ProofInvalid(errors.Forbidden):
    """The password or the code of the second factor is wrong."""

    slug = "credentials-invalid"


class SecondFactorRequired(errors.Unauthenticated):
    """The password is right; send a code of the second factor too."""

    slug = "second-factor-required"


class FactorRequired(errors.Forbidden):
    """The password is right; send a code of the second factor too."""

    slug = "second-factor-required"


class SessionEnded(errors.Unauthenticated):
    """This session is over; sign in again."""

    slug = "session-ended"


class Locked(errors.TooMany):
    """Too many failed attempts in a row; wait as long as Retry-After says."""

    slug = "locked"


class KdfRefused(errors.Unprocessable):
    """These derivation parameters are outside the bounds that protect a password."""

    slug = "kdf-refused"


class StaleRevision(errors.PreconditionFailed):
    """What is stored has another revision or epoch than the request expects."""

    slug = "precondition-failed"


class WrapsDiffer(errors.Conflict):
    """`rewrap` must name every wrap there is, each once."""

    slug = "conflict"
