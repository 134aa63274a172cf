"""Errors that the verification of the audit log can find."""

from vaultr.client.errors import IntegrityError


class AuditInvalid(IntegrityError):
    """The audit log failed a check."""

    advice = (
        "This is about the server's log of events: your items are not affected, and nothing was "
        "changed. Keep this output, which shows what the server presented, and ask its operator."
    )


class LogDamaged(AuditInvalid):
    """The server says that its log lacks records, so it cannot prove all events."""

    slug = "audit-damaged"

    advice = (
        "Your items are not affected, and nothing was changed. To find out what is missing, "
        "ask the server's operator to run `flask audit verify`."
    )

    def __init__(self) -> None:
        super().__init__(
            "The server's audit log lacks records: it cannot prove all of your events."
        )


class KeyUnknown(AuditInvalid):
    """The log is signed by a key that this account has not pinned.

    :ivar fingerprint: the SHA-256 of the key.
    """

    advice = (
        "Your items are not affected, and nothing was changed. Ask the server's operator for the "
        "fingerprint (`flask audit status` prints it). Only if it is the same, run: vaultr audit "
        "accept-key FINGERPRINT"
    )

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            f"The log is signed with a key that your devices do not know: {fingerprint}"
        )
        self.fingerprint = fingerprint


class Contradiction(AuditInvalid):
    """Two signed checkpoints of one log contradict each other.

    :ivar notes: both checkpoints, as they were signed.
    """

    def __init__(self, says: str, *notes: str) -> None:
        shown = "\n".join(
            f"--- signed state {at}\n{note}" for at, note in enumerate(notes, start=1)
        )
        super().__init__(f"{says}\n{shown}")
        self.notes = notes


class LogRestored(AuditInvalid):
    """The log was reopened after a restore; events that this account had verified are lost."""

    advice = (
        "Your items are not affected. The operator has announced this restore in the log itself: "
        "ask for the reason if you do not know it. The next check continues from the restored log."
    )
