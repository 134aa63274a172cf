"""Errors of the audit log."""

from typing import Any

from vaultr.errors import Conflict, Internal, NotFound, Unavailable, Unprocessable


class AuditUnavailable(Unavailable):
    """The event cannot be recorded now, so nothing was changed. Try again soon."""

    slug = "audit-unavailable"


class LogDamaged(Internal):
    """The audit log lacks stored records, so this cannot be proven. Report it to the operator."""

    slug = "audit-damaged"


class NotInLog(NotFound):
    """The audit log has no such record."""


class EventNotFound(NotInLog):
    """No such event exists in this account."""


class EpochUnknown(NotInLog):
    """No such tree exists, or no checkpoint of it yet."""


class NotSequencedYet(Conflict):
    """No checkpoint covers this event yet. Try again soon."""

    slug = "not-sequenced-yet"

    def __init__(self, detail: str | None = None, **more: Any) -> None:
        super().__init__(detail, headers={"Retry-After": "1"}, **more)


class SizeInvalid(Unprocessable):
    """The sizes do not belong to this tree."""


class CommandRejected(Conflict):
    """The state of the audit log does not allow this command."""


class NothingToReopen(CommandRejected):
    """The log is consistent with the signer's state, so there is nothing to reopen."""


class CannotReopen(CommandRejected):
    """The log cannot be reopened now."""


class Held(CommandRejected):
    """A legal hold blocks pruning. Lift it first: `flask audit hold NAME --lift --reason TEXT`."""


class NoRetention(CommandRejected):
    """AUDIT_RETENTION_MONTHS is 0, so no tree may be pruned. Set it to the months to keep."""


class UnsequencedEvents(CommandRejected):
    """Events wait for the sequencer. Run this again when they are in a tree."""


class NothingToRedact(CommandRejected):
    """This event has no personal details, or they were redacted before."""


class HoldUnknown(NotInLog):
    """No legal hold has this name. `flask audit status` lists all holds."""


class HoldExists(CommandRejected):
    """A legal hold of this name exists. Choose another name."""


class CannotCompare(CommandRejected):
    """The signer's state or an anchor cannot be read, so the log cannot be compared with it."""
