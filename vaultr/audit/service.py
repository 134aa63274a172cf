"""The audit log. Import from here, not from the modules behind it."""

from vaultr.audit.archive import archive_events  # the events about an account, for its archive
from vaultr.audit.checkpoints import lag_seconds  # the lag, at most a second old
from vaultr.audit.checkup import (
    excess_rights,  # rights that the role should not have
    signer_problem,  # why the signer cannot sign now
    unreachable_anchors,  # anchors that cannot be read
)
from vaultr.audit.recording import (
    Denial,  # the event that an error carries
    count_denial,  # count a request that was denied
    flush_denials,  # record the sums of denied requests
    knows,  # check whether events about an account exist
    prepared,  # an event that the caller's statement inserts
    record,  # an event in the transaction of its change
    record_error,  # the event of an error, after the rollback
    stop,  # record that the writers of this process stop
)
from vaultr.audit.restored_log import (
    problems_of_restored_log,  # what a full verification of a restored database finds
)
from vaultr.audit.rights import apply as set_rights  # the rights of the roles to the log's tables
from vaultr.audit.self_audit import (
    missing_events,  # committed events of this process that never arrived
)
from vaultr.audit.self_audit import (
    run_if_due as check_own_events,  # the job `self-audit`
)
from vaultr.audit.sequencer import sequence_if_due  # the job `audit`: one batch, one checkpoint

__all__ = [
    "Denial",
    "archive_events",
    "check_own_events",
    "count_denial",
    "excess_rights",
    "flush_denials",
    "knows",
    "lag_seconds",
    "missing_events",
    "prepared",
    "problems_of_restored_log",
    "record",
    "record_error",
    "sequence_if_due",
    "set_rights",
    "signer_problem",
    "stop",
    "unreachable_anchors",
]
