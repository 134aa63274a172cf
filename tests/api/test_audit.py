"""An event and its change are committed together, or not at all."""

import contextlib
import logging
import threading
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests.harness import audit_failures, audit_log
from vaultr import request_context
from vaultr.api import request_origin
from vaultr.audit import service
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.events import Event
from vaultr.database.base import Fact
from vaultr.database.session import db, transaction
from vaultr.errors import Forbidden
from vaultr.request_context import Actor

pytestmark = pytest.mark.both_databases


def record(event=Event.VAULT_CREATE, **more):
    return service.record(event, account_id=more.pop("account_id", uuid4()), **more)


def record_with_a_fact(swallow=()):
    with transaction() as session:
        session.add(Fact(name="test", value=b""))
        with contextlib.suppress(swallow):
            record()


class Undone(Exception):
    """Raised by a test to roll a transaction back."""


def facts():
    """Return the stored facts; a fact represents any business row."""
    return {name for name in db.session.scalars(sa.select(Fact.name)) if name.startswith("test")}


def test_event_is_committed_with_its_transaction(here):
    with transaction() as session:
        session.add(Fact(name="test", value=b""))
        event_id = record(obj={"kind": "vault", "id": "v"})

    assert [event.event_id for event in audit_log.events()] == [event_id]
    assert facts() == {"test"}


def test_rolled_back_transaction_leaves_no_event_or_gap(here):
    with transaction():
        record()
    with contextlib.suppress(Undone), transaction():
        record()
        record()
        raise Undone
    with transaction():
        record()

    assert [event.writer_seq for event in audit_log.events()] == [1, 2]


def test_rolled_back_first_event_leaves_no_writer_start(here):
    with contextlib.suppress(Undone), transaction():
        record()
        raise Undone
    with transaction():
        record()

    assert [(before, end) for _, before, end in audit_log.starts()] == [(None, None)]


def test_events_of_one_transaction_form_one_chain(here):
    with transaction():
        record()
        with transaction():
            record()
        record()

    events = audit_log.events()
    assert [event.writer_seq for event in events] == [1, 2, 3]
    assert len({event.writer_id for event in events}) == 1


def test_event_in_savepoint_or_outside_transaction_is_rejected(here):
    with pytest.raises(RuntimeError, match=r"inside of transaction\(\)"):
        record()
    with transaction() as session:
        session.begin_nested()
        with pytest.raises(RuntimeError, match="savepoint"):
            record()

    assert audit_log.everything() == []


def test_released_savepoint_after_event_does_not_count_as_commit(here):
    with contextlib.suppress(Undone), transaction() as session:
        record()
        with session.begin_nested():
            session.add(Fact(name="test", value=b""))
        raise Undone
    with transaction():
        record()

    assert [event.writer_seq for event in audit_log.events()] == [1]


@pytest.mark.parametrize("obstacle", audit_failures.ALL)
def test_change_is_rolled_back_if_event_cannot_be_recorded(here, obstacle):
    with transaction():
        record()

    with audit_failures.put(obstacle), pytest.raises(AuditUnavailable):
        record_with_a_fact()

    with transaction():
        record()
    assert [event.writer_seq for event in audit_log.events()] == [1, 2]
    assert facts() == set()


def test_commit_fails_after_a_swallowed_audit_error(here):
    with audit_failures.put("lost"), pytest.raises(AuditUnavailable):
        record_with_a_fact(swallow=AuditUnavailable)

    assert facts() == set()


def test_event_body_names_actor_action_and_origin(here):
    account, session = uuid4(), uuid4()
    with here.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.77"}):
        request_origin._store_origin()
        request_id = request_context.current_origin().request_id
        with transaction():
            who = Actor(account, session, 1)
            record(Event.ITEM_WRITE, account_id=account, actor=who, obj={"kind": "item", "to": 3})
        request_context.set_origin(request_context.NOWHERE)

    [event] = audit_log.events()
    body = audit_log.body(event)
    assert body["log"] == "localhost/audit"
    assert body["k"] == "test"
    assert (body["act"], body["sub"], body["sid"]) == (str(account), str(account), str(session))
    assert (body["typ"], body["out"]) == ("item.write", "ok")
    assert body["obj"] == {"kind": "item", "to": 3}
    assert body["net"] == {"client": "other", "prefix": "192.0.2.0/24"}
    assert body["req"] == request_id
    assert body["dc"] is None


def test_event_outside_of_requests_names_system_as_actor(here):
    with transaction():
        record(account_id=None)

    [event] = audit_log.events()
    assert (event.act, event.sub) == ("system", "system")
    assert audit_log.body(event)["net"] is None


def test_committed_event_is_logged_and_rolled_back_event_is_not(here, caplog):
    with caplog.at_level(logging.INFO, "vaultr"):
        with transaction():
            record()
        with contextlib.suppress(Undone), transaction():
            record()
            raise Undone

    copies = [line.fields for line in caplog.records if line.msg == "audit"]
    assert [(copy["typ"], copy["record"], copy["hash"]) for copy in copies] == [
        (event.typ, event.body.decode(), event.event_hash.hex()) for event in audit_log.everything()
    ]


def test_error_event_is_recorded_after_rollback(here):
    denial = service.Denial(Event.AUTH_LOGIN_DENY, None, "wrong-key")

    service.record_error(Forbidden(audit_event=denial))

    [event] = audit_log.events()
    assert (event.typ, event.out) == ("auth.login.deny", "deny:wrong-key")


def test_concurrent_threads_record_valid_chains(here, count):
    rounds = count(15, many=300)

    def work():
        for number in range(rounds):
            with here.app_context(), contextlib.suppress(Undone), transaction():
                record()
                record()
                if number % 3 == 2:
                    raise Undone

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    undone = sum(1 for number in range(rounds) if number % 3 == 2)
    assert len(audit_log.events()) == 6 * 2 * (rounds - undone)
    assert len(audit_log.starts()) <= 6
