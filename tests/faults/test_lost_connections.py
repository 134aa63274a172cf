"""A lost connection at any statement of a change to an account undoes all of it or nothing."""

import contextlib

import psycopg2
import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import account_recovery, app_fixtures, servers
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.outbox import emails
from vaultr.auth.models import Recovery
from vaultr.auth.recovery import tokens
from vaultr.database.session import db, transaction

AUTH = "/api/v1/auth"
ANN, NEW = "ann@example.org", "new@example.org"
KEY = b"n" * 32
# Guesses and audit events are counted in separate transactions.
BESIDE = {"audit_event", "audit_pending", "login_failures", "facts"}
LIMITS = {"LIMIT_LOGIN_ADDRESS": "100000/900", "LIMIT_MAIL": "100000/3600"}


@pytest.fixture(scope="module")
def url(postgres_url):
    return servers.fresh_database(postgres_url)


@pytest.fixture(scope="module")
def site(url, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    app = app_fixtures.built(app_fixtures.environ_for(home, DATABASE_URL=url, **LIMITS))
    yield app
    with app.app_context():
        db.engine.dispose()


def new_credentials(app, session):
    body = new_keys(KEY) | {"rewrap": rewrapped(app, session.account_id)}
    return lambda client: client.put(f"{AUTH}/credentials", json=body, headers=session.headers)


def complete_recovery(app, session):
    account_id, token = account_recovery.begun(app)
    with app.app_context(), transaction() as work:
        work.query(Recovery).one().started_at -= tokens.WAIT
    body = account_recovery.completion(app, token, account_id)
    return lambda client: client.post(account_recovery.COMPLETE, json=body)


def linked(app, to):
    return emails(app, to)[-1].text.partition("token=")[2].partition("\n")[0]


def confirm_email_change(app, session):
    client = app.test_client()
    client.post(f"{AUTH}/email", json={"email": NEW}, headers=session.headers)
    old, new = linked(app, ANN), linked(app, NEW)
    assert client.post(f"{AUTH}/email/confirm", json={"token": old}).status_code == 204
    return lambda client: client.post(f"{AUTH}/email/confirm", json={"token": new})


def undo_email_change(app, session):
    assert confirm_email_change(app, session)(app.test_client()).status_code == 204
    token = linked(app, ANN)
    return lambda client: client.post(f"{AUTH}/email/undo", json={"token": token})


def cancel_recovery(app, session):
    _, token = account_recovery.begun(app)
    return lambda client: client.post(account_recovery.CANCEL, json={"token": token})


def delete_account(app, session):
    return lambda client: client.delete(f"{AUTH}/account", headers=session.headers)


CHANGES = [
    *(new_credentials, delete_account),
    *(
        pytest.param(change, marks=pytest.mark.long)
        for change in (complete_recovery, confirm_email_change, undo_email_change, cancel_recovery)
    ),
]

# Responses to a repeated request: the token was used, or the session is dead.
DONE_ALREADY = {new_credentials: 401, delete_account: 401}


def prepared(app, change):
    """Start over with an account that has a vault and an item; return the change to make."""
    app_fixtures.empty(app)
    with app.app_context():
        session = factories.session()
        factories.item(factories.vault(ANN))
    return change(app, session)


def everything(app):
    """Read all rows of all affected tables."""
    with app.app_context(), transaction() as work:
        return {
            table.name: sorted(map(repr, work.execute(sa.select(table))))
            for table in db.metadata.sorted_tables
            if table.name not in BESIDE
        }


def cut_off(connection, url):
    """End a connection from the other side, like a database that is shut down."""
    pid = connection.connection.dbapi_connection.info.backend_pid
    with contextlib.closing(psycopg2.connect(url)) as other:
        other.autocommit = True
        other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


class CutOff:
    """Cuts the connection once, before the statement with this number."""

    def __init__(self, number, url):
        self.left, self.url = number, url

    def __call__(self, connection, *_):
        self.left -= 1
        if self.left == -1:
            cut_off(connection, self.url)


@contextlib.contextmanager
def listening(app, event, listener):
    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, event, listener)
    try:
        yield
    finally:
        sa.event.remove(engine, event, listener)


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_connection_lost_at_any_statement_allows_retry(site, url, count, change):
    make, ran = prepared(site, change), []
    with listening(site, "before_cursor_execute", lambda *provided: ran.append(provided[2])):
        assert make(site.test_client()).status_code == 204
    assert len(ran) > 5

    for lost in range(0, len(ran), count(5, many=1)):
        make = prepared(site, change)
        before = everything(site)

        with listening(site, "before_cursor_execute", CutOff(lost, url)):
            answer = make(site.test_client())

        assert (lost, answer.status_code) == (lost, 503)
        assert everything(site) == before
        assert make(site.test_client()).status_code == 204


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("stored", [False, True], ids=["before", "after"])
def test_connection_lost_at_commit_leaves_all_or_nothing(site, url, change, stored):
    make = prepared(site, change)
    before = everything(site)
    changing = _Commit(url, stored=stored)

    with (
        listening(site, "before_cursor_execute", changing.look),
        listening(site, "commit", changing),
    ):
        answer = make(site.test_client())

    assert (answer.status_code, changing.met) == (503, True)
    assert (everything(site) == before) is not stored
    again = DONE_ALREADY.get(change, 400) if stored else 204
    assert make(site.test_client()).status_code == again


class _Commit:
    """Loses the connection at the COMMIT of the change, before or after it is stored."""

    def __init__(self, url, *, stored):
        self.url, self.stored = url, stored
        self.at_hand = self.met = False

    def look(self, _connection, _cursor, statement, *_):
        # Each of these changes queues an email last, unless it counts guesses.
        self.at_hand = self.at_hand or "INSERT INTO mails" in statement

    def __call__(self, connection):
        if not self.at_hand or self.met:
            return
        self.met = True
        if self.stored:
            connection.connection.dbapi_connection.commit()
        cut_off(connection, self.url)
        if self.stored:  # the driver's error while it waits for the response
            raise sa.exc.OperationalError("COMMIT", {}, psycopg2.OperationalError("lost"))
