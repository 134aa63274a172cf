"""Accounts read the events about themselves; rejected requests are recorded as counts."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from tests.harness import audit_failures, audit_log
from vaultr import clock
from vaultr.audit import denied_requests, service
from vaultr.audit.events import ACTIONS, Event
from vaultr.audit.models import AuditEvent
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

pytestmark = pytest.mark.both_databases
URL = "/api/v1/audit/events"


def record(app, account_id, *events):
    with app.app_context(), transaction():
        return [service.record(event, account_id=account_id) for event in events]


def ids(response):
    return [event["id"] for event in response.json["events"]]


def test_anonymous_request_reads_no_audit_events(client):
    response = client.get(URL)

    assert response.status_code == 401


def test_events_are_listed_newest_first_as_signed(app, as_ann):
    record(app, as_ann.account_id, Event.ITEM_WRITE, Event.ITEM_READ)

    response = as_ann.get(URL)

    with app.app_context():
        [*_, written, read] = audit_log.events()
    first = response.json["events"][0]
    assert ids(response)[:2] == [str(read.event_id), str(written.event_id)]
    assert first == {
        "id": str(read.event_id),
        "body": read.body.decode(),
        "prev": b64(read.prev_hash),
        "mac": b64(read.mac),
        "epoch": None,
        "index": None,
        "subject_seq": None,
        "subject_prev": None,
    }


def test_events_of_other_accounts_are_hidden(app, as_ann, as_bob):
    [of_bob] = record(app, as_bob.account_id, Event.ITEM_READ)

    assert str(of_bob) not in ids(as_ann.get(URL))
    assert str(of_bob) in ids(as_bob.get(URL))


def test_pages_contain_each_event_once(app, as_ann):
    written = record(app, as_ann.account_id, *[Event.ITEM_WRITE] * 7)

    seen, cursor = [], ""
    while cursor is not None:
        page = as_ann.get(f"{URL}?action=item&limit=3{cursor and '&cursor=' + cursor}")
        seen, cursor = seen + ids(page), page.json["next_cursor"]

    assert seen == [str(one) for one in reversed(written)]


def test_action_filter_accepts_type_and_family(app, as_ann):
    write, read, _ = record(
        app, as_ann.account_id, Event.ITEM_WRITE, Event.ITEM_READ, Event.VAULT_CREATE
    )

    assert ids(as_ann.get(f"{URL}?action=item.read")) == [str(read)]
    assert ids(as_ann.get(f"{URL}?action=item")) == [str(read), str(write)]


def test_action_filter_accepts_only_known_types_and_families(app, as_ann):
    record(app, as_ann.account_id, *Event)

    found = {action: len(ids(as_ann.get(f"{URL}?action={action}"))) for action in ACTIONS}

    # `as_ann` has logged in, so one more event is of that type and its families.
    login = {"auth", "auth.login", "auth.login.ok"}
    assert found == {name: len(types) + (name in login) for name, types in ACTIONS.items()}
    assert as_ann.get(f"{URL}?action=ite").status_code == 400


def test_machine_filter_returns_its_events_across_pages(app, as_ann, set_to):
    set_to(app, audit_page_events=3)
    machine, events = uuid4(), []
    for number in range(10):
        events += record(app, as_ann.account_id, Event.ITEM_READ)
        if number in {0, 1, 9}:
            with app.app_context(), transaction() as session:
                row = session.get(AuditEvent, events[-1])
                row.act = str(machine)

    seen, pages, cursor = [], 0, ""
    while cursor is not None:
        page = as_ann.get(f"{URL}?machine={machine}{cursor and '&cursor=' + cursor}")
        seen, cursor, pages = seen + ids(page), page.json["next_cursor"], pages + 1

    assert seen == [str(events[number]) for number in (9, 1, 0)]
    assert pages > 2


def test_time_range_includes_start_and_excludes_end(app, as_ann):
    # In the future, because a writer never records an earlier time than its last.
    begin = clock.now().replace(microsecond=0) + timedelta(hours=1)
    moments = [begin + timedelta(seconds=second) for second in range(3)]
    found = []
    for moment in moments:
        with time_machine.travel(moment, tick=False):
            found += record(app, as_ann.account_id, Event.ITEM_READ)

    _, since, until = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments)
    chosen = as_ann.get(f"{URL}?action=item&from={since}&to={until}")

    assert ids(chosen) == [str(found[1])]


@pytest.mark.parametrize(
    "query",
    [
        "cursor=AAAA",
        "cursor=not*base64url",
        "limit=0",
        "limit=201",
        "from=yesterday",
        "from=2026-11-31T00:00:00Z",
        "to=2026-11-24T12:00:00",
        "action=item'--",
        "since=2026-11-24T12:00:00Z",
    ],
)
def test_malformed_query_is_rejected(as_ann, query):
    response = as_ann.get(f"{URL}?{query}")

    assert response.status_code == 400
    assert response.json["type"] == "urn:vaultr:problem:bad-request"


def test_cursor_of_another_query_or_account_returns_400(app, as_ann, as_bob):
    record(app, as_ann.account_id, *[Event.ITEM_WRITE] * 3)
    cursor = as_ann.get(f"{URL}?limit=1").json["next_cursor"]

    assert as_ann.get(f"{URL}?cursor={cursor}").status_code == 200
    assert as_ann.get(f"{URL}?cursor={cursor}&action=item").status_code == 400
    assert as_bob.get(f"{URL}?cursor={cursor}").status_code == 400


def sums(app):
    """Return the recorded counts of rejected requests."""
    with app.app_context():
        found = [event for event in audit_log.events() if event.typ.endswith(".deny")]
        events = [(event, audit_log.body(event)) for event in found]
        return sorted(
            (event.typ, event.out, body["net"]["prefix"], body["obj"]["count"])
            for event, body in events
        )


def test_denied_requests_make_one_event_per_minute_and_network(app, client):
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False) as traveller:
        for last in (1, 2, 3):
            client.get(URL, environ_base={"REMOTE_ADDR": f"192.0.2.{last}"})
        client.get(URL, environ_base={"REMOTE_ADDR": "2001:db8::1"})
        assert sums(app) == []
        traveller.shift(60)
        client.get("/api/health")
        assert sums(app) == []
        client.get("/api/v1/openapi.json")

    assert sums(app) == [
        ("door.deny", "deny:door", "192.0.2.0/24", 3),
        ("door.deny", "deny:door", "2001:db8::/48", 1),
    ]


def test_denied_requests_from_many_networks_take_bounded_memory(app):
    with app.app_context():
        for number in range(1000):
            denied_requests.current().count("limit", f"10.{number // 250}.{number % 250}.0/24")
        service.flush_denials(all_of_them=True)

    recorded = sums(app)
    assert len(recorded) == denied_requests.MOST_KINDS + 1
    assert sum(count for *_, count in recorded) == 1000


def test_many_denied_requests_leave_a_bounded_number_of_rows(app, client, count):
    requests = count(200, many=100_000)
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False):
        for number in range(requests):
            address = f"10.{number // 250 % 250}.{number % 250}.1"
            client.get(URL, environ_base={"REMOTE_ADDR": address})
        with app.app_context():
            service.flush_denials(all_of_them=True)

    recorded = sums(app)
    assert len(recorded) <= 2 * (denied_requests.MOST_KINDS + 1)
    assert sum(number for *_, number in recorded) == requests


def test_denials_during_outage_are_recorded_later(app):
    with app.app_context(), time_machine.travel("2026-11-24T12:00:00Z", tick=False) as traveller:
        denied_requests.current().count("door", "192.0.2.0/24")
        traveller.shift(60)
        with audit_failures.put("raised"):
            service.flush_denials()
            assert not denied_requests.current().due()
        service.flush_denials()

    assert sums(app) == [("door.deny", "deny:door", "192.0.2.0/24", 1)]


def test_events_of_unknown_account_are_not_listed(app, as_ann):
    record(app, uuid4(), Event.ITEM_READ)

    assert as_ann.get(f"{URL}?action=item").json == {"events": [], "next_cursor": None}
