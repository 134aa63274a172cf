"""SQL by an operator with all rights to the database but without CHECKPOINT_KEY: who detects it.

The operator runs `flask audit verify --signer`, the user runs `vaultr audit verify`.
"""

from types import SimpleNamespace

import pytest

from tests.harness import app_fixtures
from tests.harness.audit_tampering import change
from tests.harness.client.audit_session import Session, no_heads, write
from vaultr.audit import checkpoints
from vaultr.client.audit.verify import Verifier
from vaultr.client.errors import VaultrError

WRITE = "event_id = (SELECT min(event_id::text)::uuid FROM audit_event WHERE typ = 'item.write')"
NEWEST = "size = (SELECT max(size) FROM audit_checkpoint)"
# By name: the statements, and whether a user's first check also detects them.
CHANGES = {
    "all checkpoints gone": ("DELETE FROM audit_checkpoint", True),
    "published keys gone": (
        "UPDATE facts SET value = '[]' WHERE name = 'audit/verification-keys'",
        True,
    ),
    "event gone": (f"DELETE FROM audit_event WHERE {WRITE}", True),
    "subject of an event": (f"UPDATE audit_event SET sub = 'x' WHERE {WRITE}", True),
    "body of an event": (
        "UPDATE audit_event SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"ok\"',"
        f" '\"no\"'), 'UTF8') WHERE {WRITE}",
        True,
    ),
    "leaf of another event": (
        f"UPDATE audit_leaf SET event_id = gen_random_uuid() WHERE {WRITE}",
        True,
    ),
    "leaf of another subject": (
        f"UPDATE audit_leaf SET subject_tag = substr(leaf_hash, 1, 16) WHERE {WRITE}",
        True,
    ),
    "node": ("UPDATE audit_node SET hash = sha256(hash) WHERE level = 1 AND idx = 0", True),
    "size of a checkpoint": (f"UPDATE audit_checkpoint SET size = size + 1 WHERE {NEWEST}", None),
    "name of the log": (
        "UPDATE facts SET value = 'evil.example/audit' WHERE name = 'audit-origin'",
        None,
    ),
    "month of an event": (f"UPDATE audit_event SET epoch = 199001 WHERE {WRITE}", None),
    "time of an event": (f"UPDATE audit_event SET t = t + interval '1 hour' WHERE {WRITE}", None),
    "invented detail": (
        f"UPDATE audit_event SET detail = 'x', detail_salt = mac WHERE {WRITE}",
        None,
    ),
    "leaf gone": (f"DELETE FROM audit_leaf WHERE {WRITE}", None),
    "leaf pending again": (
        f"INSERT INTO audit_pending SELECT event_id FROM audit_event WHERE {WRITE}",
        None,
    ),
    "place in a chain": (
        f"UPDATE audit_leaf SET subject_seq = subject_seq + 9 WHERE {WRITE}",
        None,
    ),
    "nodes gone": ("DELETE FROM audit_node WHERE level = 1", None),
    "ends of chains gone": ("DELETE FROM audit_subject", None),
    "invented hold": (
        "INSERT INTO audit_hold SELECT 'x', 'x', 'x', now(), event_id FROM audit_event LIMIT 1",
        None,
    ),
    "invented prune": (
        "INSERT INTO audit_prune SELECT 1, 0, size - 1, now(), note, 'x', 'x', gen_random_uuid()"
        f" FROM audit_checkpoint WHERE {NEWEST}",
        None,
    ),
}


@pytest.fixture
def user(postgres_app):
    """A user with some sequenced events."""
    app_fixtures.empty(postgres_app)
    client = app_fixtures.signed_in(postgres_app, "ann@example.org")
    for n in range(1, 4):
        write(postgres_app, client.account_id, n)
    return SimpleNamespace(
        app=postgres_app, verifier=Verifier(Session(client), client.account_id, {})
    )


@pytest.mark.matrix(2)
@pytest.mark.parametrize("name", CHANGES)
def test_change_by_sql_is_detected(user, name):
    statement, shown_to_user = CHANGES[name]
    with user.app.app_context():
        assert change(statement) > 0
        checkpoints.forget()
        done = user.app.test_cli_runner().invoke(args=["audit", "verify", "--signer"])

    assert done.exit_code == 1, done.output
    if shown_to_user:
        user.verifier._session.seen.clear()
        with pytest.raises(VaultrError):
            user.verifier.verify(None, no_heads)
