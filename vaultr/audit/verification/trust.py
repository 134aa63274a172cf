"""The keys that a verification trusts: CHECKPOINT_KEY, and keys connected to it by signed notes.

The database itself is not trusted: an operator who can write to it can publish keys there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import signing
from vaultr.audit.models import AuditKeyChange
from vaultr.audit.verification.findings import Findings
from vaultr.protocol import notes
from vaultr.protocol.notes import Checkpoint, KeyChange, NoteInvalid, VerificationKey


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys of a log.

    :ivar trusted: keys of CHECKPOINT_KEY, and keys that a chain of notes connects to them.
    :ivar published: keys in the database, which may include lost keys and forged ones.
    """

    log: str
    trusted: list[VerificationKey]
    published: list[VerificationKey]

    def opened(self, note: str) -> tuple[Checkpoint, bool]:
        """Read a checkpoint; return it, and whether a trusted key signed it.

        :raises NoteInvalid: it is malformed, belongs to another log, or was not signed by a known
            key.
        """
        try:
            return signing.opened(note, self.trusted, self.log), True
        except NoteInvalid:
            return signing.opened(note, [*self.trusted, *self.published], self.log), False


def read(session: Session, log: str, findings: Findings) -> Trust:
    """Read the keys, and check every note about a key change."""
    published = [key for _, key in signing.published(session)]
    changes = list(session.scalars(sa.select(AuditKeyChange.note).order_by(AuditKeyChange.epoch)))
    return connect(log, signing.public_keys(log), published, changes, findings)


def connect(
    log: str,
    own: list[VerificationKey],
    published: list[VerificationKey],
    changes: Iterable[str],
    findings: Findings,
) -> Trust:
    """Return the trusted keys.

    :param own: the keys of CHECKPOINT_KEY; without them, the first published key is trusted.
    :param changes: the notes of all key changes.
    """
    trusted = own or published[:1]
    if not trusted:
        findings.unverifiable("key", "no verification key: set CHECKPOINT_KEY")
    elif not own:
        fingerprint = trusted[0].fingerprint
        says = f"CHECKPOINT_KEY is not set, so the log's own key is taken: {fingerprint}"
        findings.warning("key", says)
    pairs = _changes(changes, [*own, *published], findings)
    while more := [pair for pair in pairs if (pair[0] in trusted) != (pair[1] in trusted)]:
        trusted += [key for pair in more for key in pair if key not in trusted]
    for old, new in pairs:
        if old not in trusted and new not in trusted and trusted:
            says = f"a note connects {new.fingerprint} with no key of CHECKPOINT_KEY"
            findings.tampered("key-change", says)
    return Trust(log, trusted, published)


def _changes(
    changes: Iterable[str], known: list[VerificationKey], findings: Findings
) -> list[tuple[VerificationKey, VerificationKey]]:
    """Return the old and the new key of each note; both have signed it.

    Both signatures matter: by its signature, the new key accepts the old key as its predecessor.
    """
    pairs = []
    for text in changes:
        signers = [(old, change) for old in known if (change := _opened(text, old)) is not None]
        if signers:
            pairs.append((signers[0][0], signers[0][1].key))
        else:
            findings.tampered("key-change", "a note of a key change is not signed by both keys")
    return pairs


def _opened(text: str, old: VerificationKey) -> KeyChange | None:
    try:
        change = notes.open_key_change(text, old, signing.verify)
    except NoteInvalid:
        return None
    return change if change.key != old else None
