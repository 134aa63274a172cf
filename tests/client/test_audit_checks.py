"""The user's verification of the log, with the real server and sequencer, in process."""

import json
from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.harness import audit_log
from tests.harness.client.audit_session import Session, no_heads, write
from vaultr.audit import checkpoints, routes, sequencer, service, transaction_hooks
from vaultr.audit.events import Event
from vaultr.audit.signing import SigningKey
from vaultr.client.audit import bundle
from vaultr.client.audit.errors import (
    AuditInvalid,
    Contradiction,
    KeyUnknown,
    LogDamaged,
    LogRestored,
)
from vaultr.client.audit.pinned import Pinned
from vaultr.client.audit.verify import Verifier
from vaultr.database.session import db, transaction
from vaultr.protocol import notes
from vaultr.protocol.encoding import b64
from vaultr.request_context import Actor
from vaultr.settings.types import Keys

NEW = b"new-key-of-a-test-log-0123456789"


@pytest.fixture
def user(app, as_ann):
    """A user whose log has sequenced events."""
    write(app, as_ann.account_id)
    verifier = Verifier(Session(as_ann), as_ann.account_id, {})
    return SimpleNamespace(app=app, account_id=as_ann.account_id, verifier=verifier)


def verify(user, pinned=None, heads=no_heads):
    return user.verifier.verify(pinned, heads)


def test_check_continues_from_the_pinned_checkpoint(user):
    first = verify(user).pinned
    write(user.app, user.account_id)

    report = verify(user, Pinned.from_json(first.to_json()))

    assert report.events == 1
    assert report.pinned.checkpoint.size > first.checkpoint.size


def test_logged_heads_must_match_own_vaults(user):
    assert verify(user, heads=lambda _vault, _since: {1: b"h" * 32}).heads == 1
    with pytest.raises(AuditInvalid, match="does not match change 1"):
        verify(user, heads=lambda _vault, _since: {1: b"x" * 32})


def published(user, *, key=b"k" * 32, by=None):
    """Verify the log after an account has published a key for the user."""
    actor = Actor(by or user.account_id, uuid4(), epoch=1)
    with user.app.app_context():
        with transaction():
            service.record(
                Event.KEY_PUBLISH, account_id=user.account_id, actor=actor,
                obj={"kind": "keys", "signing": b64(key)},
            )  # fmt: skip
        audit_log.sequence_all()
        checkpoints.forget()
    verifier = Verifier(user.verifier._session, user.account_id, {"signing": b"k" * 32})
    return verifier.verify(None, no_heads)


def test_own_published_keys_are_accepted(user):
    assert published(user).events


@pytest.mark.parametrize("foreign", [{"key": b"x" * 32}, {"by": UUID(int=9)}], ids=["key", "by"])
def test_keys_published_by_others_are_detected(user, foreign):
    with pytest.raises(AuditInvalid, match="that are not yours"):
        published(user, **foreign)


def test_contradicting_history_is_reported_with_both_notes(user):
    pinned = verify(user).pinned
    other = replace(pinned.checkpoint, root=b"x" * 32)
    write(user.app, user.account_id)

    with pytest.raises(Contradiction) as raised:
        verify(user, replace(pinned, checkpoint=other))

    assert len(raised.value.notes) == 2
    assert all(note in str(raised.value) for note in raised.value.notes)
    assert raised.value.exit_code == 5


def test_header_of_another_history_is_a_contradiction(user):
    user.verifier._session.seen.append((1, 2, b"x" * 32))

    with pytest.raises(Contradiction):
        verify(user)


def test_shorter_log_is_a_contradiction(user):
    pinned = verify(user).pinned
    longer = replace(pinned.checkpoint, size=pinned.checkpoint.size + 5)

    with pytest.raises(Contradiction, match="have verified"):
        verify(user, replace(pinned, checkpoint=longer))


@pytest.mark.parametrize("first_lines", [0, 200])
def test_log_with_missing_records_is_reported_as_damaged(user, monkeypatch, first_lines):
    monkeypatch.setattr(routes, "_FIRST_LINES", first_lines)
    pinned = verify(user).pinned
    for n in range(2, 8):
        write(user.app, user.account_id, n)
    with user.app.app_context(), db.engine.begin() as connection:
        last = "(SELECT max(idx) FROM audit_leaf)"
        connection.execute(sa.text(f"DELETE FROM audit_leaf WHERE idx = {last}"))

    with pytest.raises(LogDamaged, match="lacks records"):
        user.verifier.export()
    with pytest.raises(LogDamaged):
        verify(user)
    with pytest.raises(LogDamaged) as caught:
        verify(user, pinned)

    assert caught.value.exit_code == 5
    assert "flask audit verify" in caught.value.advice


def test_logged_write_missing_from_vault_is_detected(user):
    """The server has rolled the vault back, and its own log shows that."""
    write(user.app, user.account_id, n=7)

    with pytest.raises(AuditInvalid, match="change 7 of vault"):
        verify(user, heads=lambda _vault, _since: {1: b"h" * 32})


def test_checkpoint_older_than_an_earlier_response_is_detected(user):
    pinned = verify(user).pinned
    user.verifier._session.seen.append((2, 1, b"x" * 32))

    with pytest.raises(Contradiction, match="older state of its log"):
        verify(user, pinned)


def test_bundle_cannot_claim_that_a_later_tree_was_pruned(user):
    lines = [json.loads(line) for line in user.verifier.export().splitlines()]
    tree = next(line for line in lines if line.get("type") == "tree")
    first = {**tree, "opening": None}
    at = lines.index(tree)
    pruned = [*lines[:at], first, *lines[at + 1 :]]

    with pytest.raises(AuditInvalid, match="outside of the signed part"):
        bundle.verify(map(json.dumps, pruned))


def other_key(log):
    """Return the public key of another log with the same name."""
    return SigningKey.of(log, NEW).public


def with_keys(lines, keys, changes=()):
    """Return a bundle whose first line has other keys."""
    head = {**json.loads(lines[0]), "keys": [str(key) for key in keys], "key_changes": [*changes]}
    return [json.dumps(head), *lines[1:]]


def test_bundle_under_pinned_keys_of_another_log_is_rejected(user):
    pinned = verify(user).pinned
    lines = user.verifier.export().splitlines()
    other = other_key(pinned.checkpoint.log)

    assert bundle.verify(lines, trusted=pinned.keys).events
    with pytest.raises(AuditInvalid):
        bundle.verify(lines, trusted=[other])


@pytest.mark.parametrize("name", [None, "elsewhere.example/audit"])
@pytest.mark.parametrize("beside", [False, True])
def test_bundle_with_keys_of_another_log_is_rejected(user, name, beside):
    pinned = verify(user).pinned
    lines = user.verifier.export().splitlines()
    other = other_key(name or pinned.checkpoint.log)
    keys = [*pinned.keys, other] if beside else [other]

    with pytest.raises(AuditInvalid):
        bundle.verify(with_keys(lines, keys))


@pytest.mark.parametrize("signed_by", ["nobody", "new key alone", "other key"])
def test_bundle_with_forged_key_change_is_rejected(user, signed_by):
    pinned = verify(user).pinned
    log, last = pinned.checkpoint.log, pinned.checkpoint
    lines = user.verifier.export().splitlines()
    new, third = SigningKey.of(log, NEW), SigningKey.of(log, NEW[::-1])
    signers = {"nobody": [], "new key alone": [new], "other key": [new, third]}[signed_by]
    text = notes.KeyChange(log, last.epoch, last.size, last.root, new.public).text()
    change = str(notes.sign(text, [(one.public, one.private.sign) for one in signers]))

    with pytest.raises(AuditInvalid):
        bundle.verify(with_keys(lines, [*pinned.keys, new.public], [change]))


def test_key_signed_by_the_old_key_is_accepted(user, set_to):
    pinned = verify(user).pinned
    known = user.app.config["SETTINGS"].checkpoint_key.by_id
    change_key(user, set_to, {"new": NEW, **known})

    report = verify(user, pinned)

    assert report.pinned.checkpoint.epoch > pinned.checkpoint.epoch
    assert len(report.pinned.keys) == 2


def test_unknown_key_is_accepted_only_by_its_fingerprint(user, set_to):
    pinned = verify(user).pinned
    change_key(user, set_to, {"new": NEW})
    with pytest.raises(KeyUnknown) as raised:
        verify(user, pinned)

    accepted = user.verifier.accept_key(pinned, raised.value.fingerprint)

    assert verify(user, accepted).pinned.checkpoint == accepted.checkpoint


def change_key(user, set_to, keys):
    with user.app.app_context():
        set_to(user.app, checkpoint_key=Keys(keys))
        sequencer.current().signer = None
    write(user.app, user.account_id)


def test_announced_restore_is_reported_as_a_restore(user):
    with user.app.app_context():
        size = checkpoints.view().newest.checkpoint.size
    write(user.app, user.account_id)
    pinned = verify(user).pinned
    with user.app.app_context():
        with db.engine.begin() as connection:
            events = "SELECT event_id FROM audit_leaf WHERE idx >= :s"
            for statement in (
                f"DELETE FROM audit_event WHERE event_id IN ({events})",
                "DELETE FROM audit_leaf WHERE idx >= :s",
                "DELETE FROM audit_node WHERE ((idx + 1) << CAST(level AS INTEGER)) > :s",
                "DELETE FROM audit_checkpoint WHERE size > :s",
            ):
                connection.execute(sa.text(statement), {"s": size})
        transaction_hooks.pool().forget()
        sequencer.reopen("backup of Tuesday", by="ann")
        audit_log.sequence_all()
        checkpoints.forget()

    user.verifier._session.seen.clear()
    further = replace(pinned.checkpoint, size=pinned.checkpoint.size + 1)
    with pytest.raises(Contradiction, match="are missing from the server"):
        verify(user, replace(pinned, checkpoint=further))
    user.verifier._session.seen.clear()
    with pytest.raises(LogRestored, match="backup of Tuesday") as raised:
        verify(user, pinned)

    assert verify(user, raised.value.pinned).pinned.checkpoint.epoch == 2
