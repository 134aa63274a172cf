"""Count rows and keys, and compute the maximum that an anonymous client and an account may add."""

import math

import sqlalchemy as sa

from vaultr.database.session import db, transaction

# The audit log's own rows: starts of writers, checkpoints (one a second), counts of denied requests
# (by reason and network, in each minute of each process).
OWN_EVENTS = 500
EMAILS = 200


def rows(app):
    """Count the rows of each table."""
    with app.app_context(), transaction() as work:
        names = [table.name for table in db.metadata.sorted_tables]
        return {name: work.scalar(sa.text(f'SELECT count(*) FROM "{name}"')) for name in names}


def most_rows(settings, seconds):
    """Return the most rows that each table may gain in ``seconds``; see docs/performance.md."""
    minutes = math.ceil(seconds / 60) + 1
    reads, writes = (
        settings.account_factor * rate.count * minutes * 60 / rate.seconds
        for rate in (settings.limit_reads, settings.limit_writes)
    )
    changes = min(100 * writes, settings.quota_vaults * settings.limit_changes.count)
    items = settings.quota_vaults * settings.quota_items
    signups = 2 * settings.limit_signup.count  # for two client addresses
    guesses = 2 * settings.limit_login_address.count
    refreshes = settings.quota_sessions * (settings.limit_refresh.count * minutes + 1)
    events = 2 * reads + writes + refreshes + signups + guesses + OWN_EVENTS
    return {
        "accounts": 0,
        "audit_checkpoint": seconds + 60,
        "audit_event": events,
        "audit_hold": 0,
        "audit_key_change": 1,
        "audit_leaf": events,
        "audit_node": 2 * events,
        "audit_pending": events,
        "audit_prune": 0,
        "audit_subject": 1,
        "email_changes": settings.limit_mail_account.count,
        "email_undos": settings.limit_mail_account.count,
        "entries": changes,
        "facts": 10,
        "factors": 1,
        "idempotency_keys": writes,
        "items": min(changes, items),
        "key_sets": 0,
        "known_devices": settings.quota_devices,
        "login_failures": guesses + settings.quota_sessions,
        "machines": settings.quota_machines,
        "mails": EMAILS,
        "milestones": 20,
        "recoveries": signups,
        "recovery_codes": 10,
        "recovery_keys": 1,
        "refresh_tokens": refreshes,
        "removed_items": changes,
        "sessions": settings.quota_sessions,
        "switches": 0,
        "vault_keys": settings.quota_vaults + writes,
        "vaults": settings.quota_vaults,
        "versions": changes,
        "waiting_signups": signups,
    }


# Keys in Redis: reads and writes of each session, reads, writes and hashes of the account, and for
# each of the two addresses its requests, logins and the four routes with their own limit.
def most_keys(settings):
    """Return the maximum of counters that one anonymous client and one account may add to Redis."""
    return 2 * settings.quota_sessions + 3 + 2 * (2 + 4)
