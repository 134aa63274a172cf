"""A change of address needs both mailboxes, and can be undone from the old one."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from tests.harness import account_recovery
from tests.harness.outbox import emails, tokens
from tests.harness.threads import at_once
from vaultr.auth import email_change
from vaultr.auth.models import Account, EmailChange, EmailUndo, Session
from vaultr.database.session import transaction

AUTH = "/api/v1/auth"
EMAIL, CONFIRM, UNDO = f"{AUTH}/email", f"{AUTH}/email/confirm", f"{AUTH}/email/undo"
OLD, NEW, BOB = "ann@example.org", "new@example.org", "bob@example.org"
LINK = re.compile(r"^http://localhost/email/(confirm|undo)\?token=([A-Za-z0-9_-]{43})$", re.M)


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def address(app, account_id):
    with app.app_context(), transaction() as work:
        return work.get(Account, account_id).email


def mailed(app, to, kind="confirm"):
    """Return the token in the newest email of a kind to an address."""
    found = [LINK.search(email_message.text) for email_message in emails(app, to)]
    return [match[2] for match in found if match and match[1] == kind][-1]


def requested(app, client, email=NEW):
    """Request a change of address; return the tokens sent to the old and the new one."""
    assert client.post(EMAIL, json={"email": email}).status_code == 202
    return mailed(app, OLD), mailed(app, email)


def confirm(app, token):
    return app.test_client().post(CONFIRM, json={"token": token}).status_code


def undo(app, token):
    return app.test_client().post(UNDO, json={"token": token}).status_code


def changed(app, client, email=NEW):
    """Change the address; return the token with which the old address can undo it."""
    assert [confirm(app, token) for token in requested(app, client, email)] == [204, 204]
    return mailed(app, OLD, "undo")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["old-first", "new-first"])
def test_email_change_needs_confirmation_from_both_addresses(app, as_ann, order):
    tokens_ = requested(app, as_ann)

    assert confirm(app, tokens_[order[0]]) == 204
    assert address(app, as_ann.account_id) == OLD
    assert confirm(app, tokens_[order[1]]) == 204

    assert address(app, as_ann.account_id) == NEW
    client = app.test_client()
    key = factories.auth_key(OLD)
    assert client.post(f"{AUTH}/login", json=factories.login(NEW, key=key)).status_code == 200
    assert client.post(f"{AUTH}/login", json=factories.login(OLD)).status_code == 401
    assert as_ann.get(f"{AUTH}/me").json["account"]["email"] == NEW


def test_confirmation_token_works_once(app, as_ann):
    old, new = requested(app, as_ann)

    assert [confirm(app, old), confirm(app, old)] == [204, 400]
    assert address(app, as_ann.account_id) == OLD
    assert [confirm(app, new), confirm(app, new), confirm(app, old)] == [204, 400, 400]


def test_one_of_parallel_confirmations_with_one_token_succeeds(app, as_ann):
    old, _ = requested(app, as_ann)

    assert sorted(at_once(lambda _: confirm(app, old), 4)) == [204, 400, 400, 400]
    assert address(app, as_ann.account_id) == OLD


def test_parallel_confirmations_by_both_addresses_make_one_change(app, as_ann):
    both = requested(app, as_ann)

    assert at_once(lambda number: confirm(app, both[number]), 2) == [204, 204]

    assert address(app, as_ann.account_id) == NEW
    events = [event["typ"] for event in factories.events(app)]
    assert events.count("account.email.change") == 1


def test_email_change_without_recent_step_up_returns_403(app, as_ann):
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    response = as_ann.post(EMAIL, json={"email": NEW})

    assert (response.status_code, slug(response)) == (403, "step-up-required")


def test_old_and_new_address_get_different_emails(app, as_ann):
    changed(app, as_ann)

    to_old, to_new = emails(app, OLD), emails(app, NEW)
    assert [one.kind for one in to_old] == ["email-confirm-old", "email-changed"]
    assert [one.kind for one in to_new] == ["email-confirm-new", "email-is-now"]
    assert all(NEW in one.text for one in to_old)
    assert all(OLD not in one.text for one in to_new)
    assert all("@" not in one.subject for one in to_old + to_new)


def test_later_email_change_replaces_earlier_one(app, as_ann):
    earlier = requested(app, as_ann)
    later = requested(app, as_ann, "other@example.org")

    assert [confirm(app, one) for one in earlier] == [400, 400]
    assert [confirm(app, one) for one in later] == [204, 204]
    assert address(app, as_ann.account_id) == "other@example.org"


def test_email_change_expires_after_24_hours(app, as_ann, time_machine):
    both = requested(app, as_ann)

    time_machine.move_to(datetime.now(UTC) + timedelta(hours=24, seconds=1))

    assert [confirm(app, one) for one in both] == [400, 400]


def test_taken_address_is_not_revealed(app, as_ann, as_bob):
    free = as_ann.post(EMAIL, json={"email": NEW})
    taken = as_ann.post(EMAIL, json={"email": BOB})

    assert (free.status_code, free.data) == (taken.status_code, taken.data) == (202, b"")
    assert confirm(app, mailed(app, OLD)) == 204
    (to_bob,) = emails(app, BOB)
    assert to_bob.kind == "email-in-use"
    assert LINK.search(to_bob.text) is None
    assert address(app, as_ann.account_id) == OLD


def test_own_address_is_rejected_as_new_address(app, as_ann):
    response = as_ann.post(EMAIL, json={"email": " ANN@example.org "})

    assert (response.status_code, slug(response)) == (422, "unprocessable")
    assert response.json["errors"][0]["pointer"] == "/email"


def test_address_taken_during_change_is_not_assigned_twice(app, as_ann, as_bob):
    ann = requested(app, as_ann)
    assert as_bob.post(EMAIL, json={"email": NEW}).status_code == 202
    bob = (mailed(app, BOB), mailed(app, NEW))
    assert [confirm(app, ann[0]), confirm(app, bob[0])] == [204, 204]

    answers = at_once(lambda number: confirm(app, (ann, bob)[number][1]), 2)

    assert sorted(answers) == [204, 400]
    owners = [address(app, one.account_id) for one in (as_ann, as_bob)]
    assert owners.count(NEW) == 1


def test_pending_signup_loses_address_to_email_change(app, as_ann):
    client = app.test_client()
    client.post(f"{AUTH}/signup", json=factories.signup(NEW))
    (token,) = tokens(app, NEW)

    changed(app, as_ann)

    assert client.post(f"{AUTH}/verify-email", json={"token": token}).status_code == 400


def test_undo_restores_old_address_and_ends_all_sessions(app, as_ann):
    token = changed(app, as_ann)
    assert as_ann.get(f"{AUTH}/me").status_code == 200

    assert [undo(app, token), undo(app, token)] == [204, 400]

    assert address(app, as_ann.account_id) == OLD
    assert as_ann.get(f"{AUTH}/me").status_code == 401
    with app.app_context(), transaction() as work:
        assert work.query(Session).count() == 0
    assert emails(app, OLD)[-1].kind == "email-undone"
    assert emails(app, NEW)[-1].kind == "email-lost"
    assert factories.events(app)[-2]["typ"] == "account.email.undo"


def test_email_change_can_be_undone_for_7_days(app, as_ann, time_machine):
    token, began = changed(app, as_ann), datetime.now(UTC)

    time_machine.move_to(began + timedelta(days=7, seconds=1))
    assert undo(app, token) == 400
    time_machine.move_to(began + timedelta(days=6, hours=23))

    assert undo(app, token) == 204


def test_one_of_parallel_undo_requests_succeeds(app, as_ann):
    token = changed(app, as_ann)

    assert sorted(at_once(lambda _: undo(app, token), 4)) == [204, 400, 400, 400]


def test_undo_from_first_address_reverts_all_later_changes(app, as_ann):
    first = changed(app, as_ann)
    assert as_ann.post(EMAIL, json={"email": "third@example.org"}).status_code == 202
    both = mailed(app, NEW), mailed(app, "third@example.org")
    assert [confirm(app, one) for one in both] == [204, 204]
    second = mailed(app, NEW, "undo")
    as_ann.post(EMAIL, json={"email": "fourth@example.org"})
    waiting = mailed(app, "third@example.org"), mailed(app, "fourth@example.org")

    assert undo(app, first) == 204

    assert undo(app, second) == 400
    assert [confirm(app, one) for one in waiting] == [400, 400]
    assert address(app, as_ann.account_id) == OLD


def test_undo_ends_running_recovery(app, as_ann):
    account_recovery.with_recovery_key(app)
    token = changed(app, as_ann)
    mail_token = account_recovery.requested(app, NEW)
    start = account_recovery.proof(mail_token, as_ann.account_id)
    assert app.test_client().post(account_recovery.START, json=start).status_code == 200

    assert undo(app, token) == 204

    assert app.test_client().post(account_recovery.START, json=start).status_code == 400


def test_recovery_token_of_old_address_is_rejected_after_change(app, as_ann):
    account_recovery.with_recovery_key(app)
    start = account_recovery.proof(account_recovery.requested(app), as_ann.account_id)

    changed(app, as_ann)

    client = app.test_client()
    assert client.post(account_recovery.START, json=start).status_code == 400
    later = account_recovery.proof(account_recovery.requested(app, NEW), as_ann.account_id)
    assert client.post(account_recovery.START, json=later).status_code == 200


def test_old_address_is_reserved_while_undo_is_possible(app, as_ann, as_bob):
    token = changed(app, as_ann)
    client = app.test_client()

    client.post(f"{AUTH}/signup", json=factories.signup(OLD))
    as_bob.post(EMAIL, json={"email": OLD})

    assert [one.kind for one in emails(app, OLD)][-2:] == ["existing-owner", "email-in-use"]
    assert undo(app, token) == 204
    assert address(app, as_ann.account_id) == OLD


def test_owner_may_change_back_to_reserved_address(app, as_ann):
    changed(app, as_ann)
    assert as_ann.post(EMAIL, json={"email": OLD}).status_code == 202

    assert [confirm(app, mailed(app, one)) for one in (NEW, OLD)] == [204, 204]

    assert address(app, as_ann.account_id) == OLD


def test_expired_email_changes_are_removed(app, as_ann, time_machine):
    changed(app, as_ann)
    as_ann.post(EMAIL, json={"email": "third@example.org"})

    time_machine.move_to(datetime.now(UTC) + timedelta(days=8))

    with app.app_context():
        assert email_change.remove_expired() is False
        with transaction() as work:
            assert work.query(EmailChange).count() + work.query(EmailUndo).count() == 0
