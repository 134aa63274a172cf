"""Show that an operator with all rights to the database is caught: python docs/audit_transcript.py

It creates a log in a temporary SQLite database, with a signer's state and an anchor file. Then it
changes the database in each way that its operator could, and runs `flask audit verify` after each
change. The operator has AUDIT_KEY, but not CHECKPOINT_KEY and not the anchor. It needs
`vaultr[server]`. docs/audit-transcript.md is the output of one run; identifiers differ each time.
"""

import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from uuid import UUID

from vaultr.app import create_app
from vaultr.audit import chain, sequencer, service, subjects, transaction_hooks, tree
from vaultr.audit.events import Event
from vaultr.audit.signing import SigningKey, SigningKeys
from vaultr.database.session import clear_fact_cache, db, transaction
from vaultr.protocol import merkle
from vaultr.protocol.merkle import Frontier
from vaultr.protocol.notes import Checkpoint
from vaultr.security import keyring
from vaultr.settings.loader import generate_keys
from vaultr.settings.model import Settings

HEAD = """# Transcript: an operator changes the log and is caught

`python docs/audit_transcript.py` has written this page. The operator has all rights to the database
and AUDIT_KEY, but neither CHECKPOINT_KEY nor the anchor. [The audit log](audit.md) says what this
proves, and what it cannot.

## Nobody has touched the log
"""
ANN, BOB = UUID(int=1), UUID(int=2)


class Log:
    """A log, and what its operator can do to its database."""

    def __init__(self, home):
        self.home, self.anchor = home, home / "elsewhere" / "anchors"
        self.anchor.parent.mkdir()
        environ = generate_keys("transcript") | {
            "VAULTR_ENV": "development",
            "VAULTR_HOME": str(home),
            "BASE_URL": "https://vault.example",
            "LOG_LEVEL": "ERROR",
            "AUDIT_ANCHORS": self.anchor.as_uri(),
        }
        self.app = create_app(Settings.from_environ(environ))
        with self.app.app_context():
            db.create_all()
        self.file = next(home.glob("*.sqlite3"))
        sequencer.SIGN_SECONDS = 0.0  # usually a second passes between two checkpoints

    def record(self, *accounts):
        """Record events as the server does, and run the sequencer until all are anchored."""
        for account in accounts:
            with transaction():
                service.record(Event.ITEM_WRITE, account_id=account)
        for _ in range(3):
            sequencer.sequence()

    def sql(self, statement, *values):
        """Change the database directly."""
        connection = sqlite3.connect(self.file)
        with connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows

    def save(self, name):
        """Copy the database file."""
        with sqlite3.connect(self.file) as source, sqlite3.connect(self.home / name) as copy:
            source.backup(copy)

    def load(self, name):
        """Put a copy of the database file back, and start the server again."""
        db.session.remove()
        db.engine.dispose()
        for old in self.home.glob(f"{self.file.name}-*"):
            old.unlink()
        shutil.copyfile(self.home / name, self.file)
        clear_fact_cache()
        transaction_hooks.pool().forget()
        sequencer.forget()

    def verify(self, *options):
        """Run `flask audit verify`."""
        done = self.app.test_cli_runner().invoke(args=["audit", "verify", *options])
        shown = " ".join(options).replace(str(self.home), "…")
        print(f"```\n$ flask audit verify {shown}\n{done.output.rstrip()}")
        print(f"exit {done.exit_code}\n```\n")
        return done.exit_code

    def writes(self):
        """Read the sequenced item.write events."""
        return self.sql(
            "SELECT e.event_id, e.writer_id, e.writer_seq, e.prev_hash, e.body, l.idx"
            " FROM audit_event e JOIN audit_leaf l ON l.event_id = e.event_id"
            " WHERE e.typ = 'item.write' ORDER BY l.idx"
        )


def forge(log, *, relink):
    """Change the result of an event to `error`, with a valid MAC; link later events again."""
    event_id, writer, seq, head, _body, _index = log.writes()[1]
    key = keyring.current().audit.current
    for at, (number, old) in enumerate(
        log.sql(
            "SELECT writer_seq, body FROM audit_event WHERE writer_id = ? AND writer_seq >= ?"
            " ORDER BY writer_seq",
            writer, seq,
        )
    ):  # fmt: skip
        new = bytes(old).replace(b'"ok"', b'"error"') if at == 0 else bytes(old)
        mac, event_hash = chain.link(key, bytes(head), new)
        log.sql(
            "UPDATE audit_event SET body = ?, prev_hash = ?, mac = ?, event_hash = ?"
            " WHERE writer_id = ? AND writer_seq = ?",
            new, head, mac, event_hash, writer, number,
        )  # fmt: skip
        head = event_hash
        if not relink:
            break
    log.sql("UPDATE audit_event SET out = 'error' WHERE event_id = ?", event_id)


def rebuild(log, *, signers=None):
    """Build the tree again from the changed events; sign it with another key, if one is passed."""
    rows = log.sql(
        "SELECT l.event_id, e.event_hash, e.sub FROM audit_leaf l JOIN audit_event e"
        " ON e.event_id = l.event_id ORDER BY l.idx"
    )
    for table in ("audit_leaf", "audit_node", "audit_subject"):
        log.sql(f"DELETE FROM {table}")  # nosec B608 - constant names
    edge, ends, leaves = Frontier(), {}, [
        tree.Leaf(UUID(event_id), bytes(event_hash), merkle.subject_tag(sub))
        for event_id, event_hash, sub in rows
    ]  # fmt: skip
    with transaction() as session:
        tree.append(session, 1, edge, leaves, ends)
        subjects.write(session, ends)
    if signers is not None:
        checkpoint = Checkpoint("vault.example/audit", 1, edge.size, edge.root())
        log.sql("DELETE FROM audit_checkpoint WHERE size < ?", edge.size)
        log.sql("UPDATE audit_checkpoint SET note = ?", signers.checkpoint(checkpoint))
        key = json.dumps([[1, str(signers.current.public)]]).encode()
        log.sql("UPDATE facts SET value = ? WHERE name = 'audit/verification-keys'", key)


def edit(log):
    """Edit: change the bytes of an event."""
    log.sql("UPDATE audit_event SET body = ? WHERE event_id = ?", b"{}", log.writes()[1][0])


def edit_with_key(log):
    """Edit with AUDIT_KEY: the changed event has a valid MAC and hash."""
    forge(log, relink=False)


def rewrite(log):
    """Rewrite: forge an event, link its chain again, build the tree again."""
    forge(log, relink=True)
    rebuild(log)


def rewrite_and_sign(log):
    """Rewrite, sign the new tree with another key, and publish that key in the database."""
    forge(log, relink=True)
    rebuild(log, signers=SigningKeys((SigningKey.of("vault.example/audit", b"e" * 32),)))


def rewrite_end(log):
    """Rewrite the end, and delete the checkpoints that covered it."""
    rewrite(log)
    log.sql("DELETE FROM audit_checkpoint WHERE size > 1")


def delete(log):
    """Delete an event."""
    log.sql("DELETE FROM audit_event WHERE event_id = ?", log.writes()[1][0])


def delete_traceless(log):
    """Delete an event with its leaf, number the others again, and build the tree again."""
    event_id = log.writes()[1][0]
    for table in ("audit_leaf", "audit_event"):
        log.sql(f"DELETE FROM {table} WHERE event_id = ?", event_id)  # nosec B608 - constant names
    rebuild(log)


def reorder(log):
    """Reorder: swap two leaves."""
    for old, new in ((2, 99), (3, 2), (99, 3)):
        log.sql("UPDATE audit_leaf SET idx = ? WHERE idx = ?", new, old)


def restore(log):
    """Restore: put back an older copy of the database, and let the sequencer run."""
    log.load("older")
    log.record(ANN)
    print(f"The sequencer signs nothing: `{sequencer.current().halted}`.\n")


def hide(log):
    """Hide: delete an event that no tree includes yet, from the middle of its chain."""
    for account in (ANN, BOB):
        with transaction():
            service.record(Event.ITEM_WRITE, account_id=account)
    [(first, *_), *_] = log.sql("SELECT event_id FROM audit_pending ORDER BY event_id")
    log.sql("DELETE FROM audit_event WHERE event_id = ?", first)
    log.sql("DELETE FROM audit_pending WHERE event_id = ?", first)


ATTACKS = [
    *(edit, edit_with_key, rewrite, rewrite_and_sign, rewrite_end, delete, delete_traceless),
    *(reorder, restore, hide),
]


def main():
    """Print the transcript; exit with 1 if an attack was missed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder))
        anchors = ("--anchors", str(log.anchor))
        with log.app.app_context():
            log.record(ANN, BOB, ANN)
            log.save("older")
            log.record(BOB, ANN, BOB)
            log.save("now")
            signed = (log.home / "audit-state").read_text()
            print(HEAD)
            missed = [] if log.verify(*anchors) == 0 else ["the intact log"]
            for attack in ATTACKS:
                log.load("now")
                (log.home / "audit-state").write_text(signed)
                print(f"## {attack.__doc__.rstrip('.')}\n")
                attack(log)
                if log.verify(*anchors) != 1:
                    missed.append(attack.__name__)
            db.engine.dispose()
    print(f"Missed: {', '.join(missed) or 'none'} of {len(ATTACKS)}.")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
