"""Check the audit log: lag, rights of the role, signer's state, anchors."""

from collections.abc import Iterator
from typing import Final

from vaultr.audit import service as audit
from vaultr.database.session import postgresql
from vaultr.ops.check_result import CheckResult, ok, problem, warning
from vaultr.settings.model import Settings

TOPIC: Final = "audit"


def check(settings: Settings) -> Iterator[CheckResult]:
    """Check the log for this process and its role."""
    yield from _lag(settings)
    if postgresql():
        yield from _rights(settings)
    elif settings.production:
        yield problem(TOPIC, "SQLite cannot protect the log", "Use PostgreSQL in production.")
    else:
        yield ok(TOPIC, "SQLite has no roles and cannot enforce rights to the log")
    yield from _signer(settings)
    yield from _anchors(settings)


def _lag(settings: Settings) -> Iterator[CheckResult]:
    seconds = audit.lag_seconds()
    todo = "Check that `flask worker --only audit` runs (docs/runbook.md, VaultrAuditLag)."
    if seconds is None:
        yield ok(TOPIC, "events are recorded; no checkpoint exists yet")
    elif seconds > settings.audit_lag_degraded:
        yield problem(TOPIC, f"checkpoints are {seconds:.0f} s behind", todo)
    elif seconds > settings.audit_lag_warn:
        yield warning(TOPIC, f"checkpoints are {seconds:.0f} s behind", todo)
    else:
        yield ok(TOPIC, f"checkpoints are {seconds:.0f} s behind")


def _rights(settings: Settings) -> Iterator[CheckResult]:
    sequencer = settings.checkpoint_key is not None
    excess = audit.excess_rights(sequencer=sequencer)
    if not excess:
        yield ok(TOPIC, "the role cannot change the log")
        return
    level = problem if settings.production else warning
    todo = "Run deploy/postgres/roles.sql, and use its roles in DATABASE_URL."
    yield level(TOPIC, f"the role may change the log: {', '.join(excess[:5])}", todo)


def _signer(settings: Settings) -> Iterator[CheckResult]:
    if settings.checkpoint_key is None:
        return
    if settings.production and settings.audit_state_file is None and not settings.audit_anchors:
        todo = "Set AUDIT_STATE_FILE to a file on a lasting volume, or set AUDIT_ANCHORS."
        yield problem(TOPIC, "the signer's state is not stored anywhere", todo)
        return
    reason = audit.signer_problem()
    if reason is None:
        yield ok(TOPIC, "the signer can sign")
    else:
        yield problem(
            TOPIC,
            f"the signer does not sign: {reason}",
            "Do what docs/runbook.md says under VaultrAuditHalted.",
        )


def _anchors(settings: Settings) -> Iterator[CheckResult]:
    if not settings.audit_anchors:
        if settings.production and settings.checkpoint_key is not None:
            todo = (
                "Set AUDIT_ANCHORS. Without an anchor, anybody who controls this server can rewrite"
                " the log."
            )
            yield warning(TOPIC, "the log has no anchor", todo)
        return
    unreachable = audit.unreachable_anchors()
    if unreachable:
        says = f"anchors cannot be read: {', '.join(unreachable)}"
        yield problem(TOPIC, says, "Do what docs/runbook.md says under VaultrAuditAnchorFails.")
    else:
        yield ok(TOPIC, f"{len(settings.audit_anchors)} anchors")
