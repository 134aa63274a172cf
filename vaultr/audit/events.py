"""The types of events. A name is part of the API and never changes."""

from enum import StrEnum
from typing import Final


class Event(StrEnum):
    """The type of an event."""

    ACCOUNT_CREATE = "account.create"
    ACCOUNT_DELETE = "account.delete"
    ACCOUNT_EMAIL_CHANGE = "account.email.change"
    ACCOUNT_EMAIL_UNDO = "account.email.undo"
    AUTH_LOGIN_OK = "auth.login.ok"
    AUTH_LOGIN_DENY = "auth.login.deny"
    AUTH_STEPUP_OK = "auth.stepup.ok"
    AUTH_STEPUP_DENY = "auth.stepup.deny"
    AUTH_LOCK = "auth.lock"
    AUTH_UNLOCK = "auth.unlock"
    SESSION_REFRESH = "session.refresh"
    SESSION_REUSE = "session.reuse"
    SESSION_END = "session.end"
    CRED_CHANGE = "cred.change"
    CRED_RECOVER_START = "cred.recover.start"
    CRED_RECOVER_CANCEL = "cred.recover.cancel"
    CRED_RECOVER_DONE = "cred.recover.done"
    FACTOR_ADD = "factor.add"
    FACTOR_REMOVE = "factor.remove"
    FACTOR_CODES = "factor.codes"
    RECOVERY_KEY_SET = "recovery-key.set"
    RECOVERY_KEY_REMOVE = "recovery-key.remove"
    KEY_PUBLISH = "key.publish"
    PROFILE_WRITE = "profile.write"
    VAULT_CREATE = "vault.create"
    VAULT_RENAME = "vault.rename"
    VAULT_DELETE = "vault.delete"
    VAULT_ROTATE_BEGIN = "vault.rotate.begin"
    VAULT_ROTATE_END = "vault.rotate.end"
    VAULT_REPAIR = "vault.repair"
    ITEM_READ = "item.read"
    ITEM_WRITE = "item.write"
    MACHINE_CREATE = "machine.create"
    MACHINE_CHANGE = "machine.change"
    MACHINE_DELETE = "machine.delete"
    EXPORT_READ = "export.read"
    DOOR_DENY = "door.deny"
    LIMIT_DENY = "limit.deny"
    ADMIN_ACCOUNT = "admin.account"
    ADMIN_AUDIT = "admin.audit"
    ADMIN_SWITCH = "admin.switch"
    LOG_EPOCH_OPEN = "log.epoch.open"
    LOG_PRUNE = "log.prune"
    LOG_REDACT = "log.redact"
    LOG_GAP = "log.gap"
    WRITER_START = "writer.start"
    WRITER_STOP = "writer.stop"


def _families() -> dict[str, tuple[Event, ...]]:
    """Return the types of each action: a type itself, or a family such as ``auth``."""
    found: dict[str, list[Event]] = {}
    for event in Event:
        parts = event.value.split(".")
        for length in range(1, len(parts) + 1):
            found.setdefault(".".join(parts[:length]), []).append(event)
    return {action: tuple(found[action]) for action in sorted(found)}


# The types of events by action, for `GET /audit/events?action=`.
ACTIONS: Final = _families()
