"""The audit log. Import from here, not from the modules behind it."""

from vaultr.audit.archive import archive_events  # the events about an account, for its archive
from vaultr.audit.checkpoints import lag_seconds  # the lag, at most a second old
from vaultr.audit.checkup import (
    excess_rights,  # rights that the role should not have
    signer_problem,  # the reason why the signer cannot sign now
    unreachable_anchors,  # anchors that cannot be read
)
from vaultr.audit.inline_insert import Prepared  # an event that the caller's statement inserts
from vaultr.audit.key_usage import (
    events_under,  # number of events that one AUDIT_KEY authenticated
    key_beside,  # an AUDIT_KEY that events need but the settings lack
)
from vaultr.audit.recording import (
    Denial,  # the event that an error carries
    count_denial,  # count a request that was denied
    flush_denials,  # record the sums of denied requests
    knows,  # check whether events about an account exist
    prepared,  # reserve a writer for an event in the caller's statement
    record,  # an event in the transaction of its change
    record_error,  # the event of an error, after the rollback
    stop,  # record that the writers of this process stop
)
from vaultr.audit.restored_log import (
    problems_of_restored_log,  # findings of a full verification of a restored database
)
from vaultr.audit.rights import apply as set_rights  # the rights of the roles to the log's tables
from vaultr.audit.rights import server_rights  # rights that the server's role needs
from vaultr.audit.self_audit import (
    missing_events,  # committed events of this process that never arrived
)
from vaultr.audit.self_audit import (
    run_if_due as check_own_events,  # the job `self-audit`
)
from vaultr.audit.sequencer import sequence_if_due  # the job `audit`: one batch, one checkpoint
from vaultr.audit.sequencer_lag import seconds as measured_lag_seconds  # the lag, measured now

__all__ = [
    "Denial",
    "Prepared",
    "archive_events",
    "check_own_events",
    "count_denial",
    "events_under",
    "excess_rights",
    "flush_denials",
    "key_beside",
    "knows",
    "lag_seconds",
    "measured_lag_seconds",
    "missing_events",
    "prepared",
    "problems_of_restored_log",
    "record",
    "record_error",
    "sequence_if_due",
    "server_rights",
    "set_rights",
    "signer_problem",
    "stop",
    "unreachable_anchors",
]
