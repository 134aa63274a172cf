"""What accounts and sessions refuse."""

from vaultr import errors


class TokenInvalid(errors.BadRequest):
    """This link is not valid, or not any more."""

    slug = "token-invalid"


class CredentialsInvalid(errors.Unauthenticated):
    """The address or the password is wrong."""

    slug = "credentials-invalid"


class ProofInvalid(errors.Forbidden):
    """The password is wrong."""

    slug = "credentials-invalid"


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
