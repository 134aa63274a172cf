"""Errors of machines. Each docstring is the detail that a client receives."""

from vaultr import errors


class MachineNotFound(errors.NotFound):
    """No machine with this id exists, or it belongs to another account."""

    slug = "not-found"


class MachineExists(errors.Conflict):
    """This id is already in use. Choose a new random id."""

    slug = "conflict"


class MachineQuotaExceeded(errors.Conflict):
    """Your account has reached its maximum number of machines. Delete one first."""

    slug = "quota-exceeded"


class MachineChanged(errors.PreconditionFailed):
    """The machine was changed since you read it. Read it again, then retry."""

    slug = "precondition-failed"
