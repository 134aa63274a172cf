"""Every kind of emailed token, used in parallel on several workers: exactly one use succeeds."""

import pytest

from tests import factories
from tests.harness import account_recovery, app_fixtures, servers
from tests.harness.account_recovery import completion, proof
from tests.harness.gunicorn_server import running
from tests.harness.outbox import emails, tokens
from tests.harness.process_pool import Remote
from tests.harness.threads import at_once
from vaultr.auth import email_change
from vaultr.auth.models import Recovery
from vaultr.auth.recovery import tokens as recovery_tokens
from vaultr.database.session import db, transaction

AUTH = "/api/v1/auth"
ANN, NEW = "ann@example.org", "new@example.org"
AT_ONCE = 8
LIMITS = {
    "LIMIT_LOGIN_ACCOUNT": "100000/900",
    "LIMIT_LOGIN_ADDRESS": "100000/900",
    "LIMIT_MAIL": "100000/3600",
    "LIMIT_SIGNUP": "100000/3600",
}


class Site:
    """A server with four workers, and the same app here, which creates the tokens' subjects."""

    def __init__(self, server):
        self.server = server
        self.app = app_fixtures.built(server.environ)

    def fresh(self):
        app_fixtures.empty(self.app)
        with self.app.app_context():
            session = factories.session()
            db.engine.dispose()
        return session

    def linked(self, to):
        return emails(self.app, to)[-1].text.partition("token=")[2].partition("\n")[0]

    def at_once(self, path, body, times=AT_ONCE):
        client = Remote(self.server.url, "x", None)
        return [one.status_code for one in at_once(lambda _: client.post(path, json=body), times)]

    def client(self, session):
        client = self.app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = session.headers["Authorization"]
        return client


@pytest.fixture(scope="module")
def site(postgres_url, redis_url, tmp_path_factory):
    url = servers.fresh_database(postgres_url)
    home = tmp_path_factory.mktemp("home")
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "4"} | LIMITS
    with running(home, **more, BACKGROUND="process") as server:
        yield Site(server)


def signup_token(site, session):
    site.app.test_client().post(f"{AUTH}/signup", json=factories.signup(NEW))
    return f"{AUTH}/verify-email", {"token": tokens(site.app, NEW)[0]}


def email_change_token(site, session):
    site.client(session).post(f"{AUTH}/email", json={"email": NEW})
    return f"{AUTH}/email/confirm", {"token": site.linked(ANN)}


def undo_token(site, session):
    site.client(session).post(f"{AUTH}/email", json={"email": NEW})
    agreed = [site.linked(ANN), site.linked(NEW)]
    with site.app.test_request_context():
        for token in agreed:
            email_change.confirm_email_change(token)
    return f"{AUTH}/email/undo", {"token": site.linked(ANN)}


def cancellation_token(site, session):
    _, token = account_recovery.begun(site.app)
    return f"{AUTH}/recover/cancel", {"token": token}


def completion_token(site, session):
    account_id, token = account_recovery.begun(site.app)
    with site.app.app_context(), transaction() as work:
        started = work.query(Recovery).one()
        started.started_at -= recovery_tokens.WAIT
    return f"{AUTH}/recover/complete", completion(site.app, token, account_id)


@pytest.mark.parametrize(
    "made", [signup_token, email_change_token, undo_token, cancellation_token, completion_token],
    ids=lambda one: one.__name__,
)  # fmt: skip
def test_one_of_many_uses_on_several_workers_succeeds(site, count, made):
    for _ in range(count(1, many=50)):
        path, body = made(site, site.fresh())
        with site.app.app_context():
            db.engine.dispose()

        answers = site.at_once(path, body)

        assert answers.count(204) == 1
        # Completing needs a hash; if its queue is full, nothing was changed.
        assert set(answers) - {204, 400} <= ({503} if made is completion_token else set())


def test_many_starts_on_several_workers_begin_one_recovery(site):
    site.fresh()
    account_id = account_recovery.with_recovery_key(site.app)
    token = account_recovery.requested(site.app)

    assert site.at_once(account_recovery.START, proof(token, account_id)) == [200] * AT_ONCE

    kinds = [one.kind for one in emails(site.app, ANN)]
    assert kinds.count("recovery-started") == 1
