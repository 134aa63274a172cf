"""Parallel requests lock accounts and mailboxes in one order, and no more than necessary."""

import pytest

from tests import factories
from tests.harness.threads import at_once
from vaultr.auth.models import Session
from vaultr.database.session import transaction
from vaultr.mail import recipient_limits

pytestmark = pytest.mark.both_databases
ANN, BOB = "ann@example.org", "bob@example.org"
EMAIL, LOGOUT_ALL = "/api/v1/auth/email", "/api/v1/auth/logout-all"


@pytest.fixture
def locked(monkeypatch):
    """Record in which order mailboxes are locked."""
    order, allow = [], recipient_limits.allow

    def noted(session, email_message, recipients, now):
        order.append(min(recipients))
        return allow(session, email_message, recipients, now)

    monkeypatch.setattr(recipient_limits, "allow", noted)
    return order


def test_mailbox_locks_are_taken_in_one_order(as_ann, as_bob, locked):
    assert as_ann.post(EMAIL, json={"email": BOB}).status_code == 202
    assert as_bob.post(EMAIL, json={"email": ANN}).status_code == 202

    assert len(set(locked)) == 2
    assert locked == sorted(locked[:2]) * 2


def test_owners_requesting_each_others_address_do_not_deadlock(app, as_ann, as_bob, set_to, count):
    set_to(app, limit_mail="1000/3600", limit_mail_account="1000/3600")

    def ask(number):
        client = app.test_client()
        mine, other = (as_ann, BOB) if number % 2 else (as_bob, ANN)
        return client.post(EMAIL, json={"email": other}, headers=mine.session.headers).status_code

    for _ in range(count(3, many=50)):
        assert at_once(ask, 6) == [202] * 6


def test_thousands_of_ended_sessions_are_recorded_in_events_of_500(app, as_ann):
    with app.app_context(), transaction() as work:
        row = work.get(Session, as_ann.session.id)
        values = {one.name: getattr(row, one.name) for one in Session.__table__.columns}
        work.add_all(Session(**values | {"id": factories.uuid4()}) for _ in range(1200))

    assert as_ann.post(LOGOUT_ALL).status_code == 204

    events = [one["obj"]["ids"] for one in factories.events(app) if one["typ"] == "session.end"]
    assert [len(ids) for ids in events] == [500, 500, 201]
    assert len({one for ids in events for one in ids}) == 1201
