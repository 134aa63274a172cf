"""Several processes write to one vault of a running server, on each of the two databases."""

from collections import Counter

import pytest

from tests import factories
from tests.harness import servers
from tests.harness.concurrent_writers import (
    ask,
    delete_account,
    fill,
    follow,
    write_much,
    write_until_gone,
)
from tests.harness.gunicorn_server import running
from tests.harness.process_pool import Remote, together
from tests.harness.vault_rows import rows
from tests.harness.vault_writer import Writer
from vaultr.app import create_app
from vaultr.auth.models import Account
from vaultr.database.session import db, transaction
from vaultr.settings.model import Settings
from vaultr.vault.models import ENTRIES, ITEMS, VAULTS, VERSIONS

WRITERS = 8
ITEMS_MOST, BYTES_MOST = 30, 120_000
PLENTY = dict.fromkeys(("LIMIT_WRITES", "LIMIT_READS", "LIMIT_CHANGES"), "10000000/60")


@pytest.fixture(
    scope="module", params=["postgresql", pytest.param("sqlite", marks=pytest.mark.long)]
)
def site(request, tmp_path_factory, redis_url):
    """A server with two processes, and an app with which a test reads its database."""
    home = tmp_path_factory.mktemp(request.param)
    more = {"WEB_CONCURRENCY": "2", "REDIS_URL": redis_url, **PLENTY}
    more |= {"QUOTA_ITEMS": str(ITEMS_MOST), "QUOTA_VAULT_BYTES": str(BYTES_MOST)}
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        more["DATABASE_URL"] = servers.fresh_database(url)
    with running(home, **more) as server:
        environ = server.environ | {"LOG_LEVEL": "WARNING"}
        server.app = create_app(Settings.from_environ(environ))
        yield server
        with server.app.app_context():
            db.engine.dispose()


@pytest.fixture
def email(request):
    """An account for this test only."""
    return f"{request.node.name.partition('[')[0][-40:]}@example.org"


@pytest.fixture
def device(site, email):
    """Return another device of the account."""

    def sign_in():
        with site.app.app_context():
            session = factories.session(factories.owner(email))
        return Remote(site.url, session.access_token, session.account_id)

    return sign_in


@pytest.fixture
def vault(device):
    return Writer(device()).create()


def test_rebasing_processes_lose_no_write(site, vault, device, count):
    writers = [vault.twin(device()) for _ in range(WRITERS)]
    readers = [vault.twin(device()) for _ in range(2)]
    turns = count(2, many=60)

    done = together(
        work,
        [(write_much, (one, turns, seed)) for seed, one in enumerate(writers)]
        + [(follow, (one, turns, limit)) for one, limit in zip(readers, (3, 500), strict=True)],
    )

    items = {item_id for item_id, _ in done[:WRITERS]}
    entries = sum(number for _, number in done[:WRITERS])
    vault.sync(limit=7)
    assert vault.state.items.keys() == items
    assert vault.state.n == entries
    assert vault.full(limit=3).state.items == vault.state.items
    stored = rows(site.app, ITEMS, vault_id=vault.id)
    assert {row.id: (row.revision, row.content) for row in stored} == {
        item_id: (one.revision, one.content) for item_id, one in vault.state.items.items()
    }
    numbers = sorted(row.n for row in rows(site.app, ENTRIES, vault_id=vault.id))
    assert numbers == list(range(1, entries + 1))
    spans = sorted(span for span in written(site, vault))
    assert [first for first, _ in spans] == [1, *(last + 1 for _, last in spans[:-1])]
    assert spans[-1][1] == entries


def work(what, arguments):
    return what(*arguments)


def written(site, vault):
    """Yield the first and last number of each recorded write, and check that each occurs once."""
    for event in factories.events(site.app):
        if event["typ"] == "item.write" and event["obj"]["id"] == str(vault.id):
            yield event["obj"]["from"], event["obj"]["to"]


def test_one_of_a_hundred_puts_over_one_revision_succeeds(site, vault, device):
    item_id = vault.put()
    devices = [vault.twin(device()) for _ in range(50)] * 2  # an account has at most 50 sessions
    requests = [one.put_request(item_id, str(n)) for n, one in enumerate(devices)]

    answers = together(ask, list(zip(devices, requests, strict=True)), threads=25)

    assert Counter(answers) == {"done": 1, "precondition-failed": 99}
    assert len(rows(site.app, ENTRIES, vault_id=vault.id)) == 2


def test_write_sent_by_twenty_processes_is_stored_once(site, vault, device):
    request = vault.put_request()

    answers = together(ask, [(vault.twin(device()), request) for _ in range(20)], threads=4)

    assert answers == ["done"] * 20
    assert list(written(site, vault)) == [(1, 1)]


@pytest.mark.parametrize("text", ["small", "x" * 3_000])
def test_twenty_writers_do_not_exceed_quota(site, vault, device, text):
    taken = together(fill, [(vault.twin(device()), text) for _ in range(20)], threads=4)

    assert {why for _, why in taken} == {"quota-exceeded"}
    (row,) = rows(site.app, VAULTS, id=vault.id)
    sizes = [one.size for one in rows(site.app, ITEMS, vault_id=vault.id)]
    most = min(ITEMS_MOST, BYTES_MOST // sizes[0])
    assert sum(number for number, _ in taken) == most
    assert row.active == len(sizes) == most
    assert row.item_bytes == sum(sizes) <= BYTES_MOST


def test_account_can_be_deleted_while_processes_write_to_it(site, vault, device, email):
    writers = [vault.twin(device()) for _ in range(6)]

    *seen, deleted = together(
        work,
        [(write_until_gone, (one,)) for one in writers] + [(delete_account, (device(), 12))],
    )

    assert deleted == 204
    assert all(statuses <= {201, 401, 404} for statuses in seen), seen
    for table in (ITEMS, VERSIONS, ENTRIES):
        assert rows(site.app, table, vault_id=vault.id) == []
    assert rows(site.app, VAULTS, id=vault.id) == []
    with site.app.app_context(), transaction() as session:
        assert session.query(Account).filter_by(email=email).one_or_none() is None
