"""PostgreSQL and Redis for the tests, and how many cases tests run."""

import contextlib
import gc
import os
import signal
from pathlib import Path

import pytest

from tests.harness import forked_programs, servers

TESTS = Path(__file__).parent
ROLLOUT = TESTS / "rollout"
# The slowest folders run first, so that no process of a run is busy after all others have ended.
SLOW_FIRST = ("faults", "first_hour", "client", "api")
pytest_plugins = [
    "tests.harness.app_fixtures",
    "tests.harness.operator_fixtures",
    "tests.harness.backups",
]


def pytest_addoption(parser):
    parser.addoption(
        "--write-docs", action="store_true", help="write the pages that tests generate"
    )
    parser.addoption("--rollout", action="store_true", help="also test the deployment files")
    parser.addoption(
        "--long", action="store_true", help="run all cases: kills, races, large tables"
    )


def pytest_configure():
    """Restore default signal handling for programs that tests start, as after `nohup`.

    A program inherits ignored signals, but no handlers, so a handler that does nothing is enough.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Return one more than the number of processors, since many tests wait for other processes."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)  # pytest-xdist calls it before it starts its workers
def pytest_xdist_setupnodes(config):
    """Start PostgreSQL, Redis and forking processes once for all workers.

    Each worker creates its own databases there.
    """
    with contextlib.ExitStack() as stack:
        os.environ["TEST_DATABASE_URL"] = stack.enter_context(servers.postgres()).url
        os.environ["TEST_REDIS_URL"] = stack.enter_context(servers.redis_server()).url
        stack.enter_context(forked_programs.for_all_processes())
        config.add_cleanup(stack.pop_all().close)


def pytest_ignore_collect(collection_path, config):
    """Ignore the deployment tests, which need the tools of `make check-rollout`."""
    if collection_path == ROLLOUT and not config.getoption("--rollout"):
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # before `-m` selects tests by these markers
def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if _on_sqlite(item) and _marked(item, "postgresql_only")]
    if not config.getoption("--long"):
        left_out += [item for item in items if item.get_closest_marker("long")]
        left_out += [item for item in items if _needs_no_sqlite(item)]
        others = set(items) - set(left_out)
        left_out += _thinned([item for item in items if item in others])
    config.hook.pytest_deselected(items=left_out)
    unwanted = set(left_out)
    items[:] = sorted((item for item in items if item not in unwanted), key=_folder_position)


def pytest_collection_finish():
    """Exclude imported and collected objects from garbage collection, and collect less often.

    Otherwise each run would visit a million objects, of which none is garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _folder_position(item):
    """Return the position of a test's folder in the running order."""
    folder = item.path.relative_to(TESTS).parts[0]
    return SLOW_FIRST.index(folder) if folder in SLOW_FIRST else len(SLOW_FIRST)


def _thinned(items):
    """Return the evenly spaced cases of each `matrix` that run only with ``--long``."""
    cases = {}
    for item in items:
        if marker := item.get_closest_marker("matrix"):
            cases.setdefault((item.path, item.cls, item.originalname, marker.args), []).append(item)
    return [
        item for (*_, (most,)), some in cases.items() for item in _without_evenly_spaced(some, most)
    ]


def _without_evenly_spaced(cases, most):
    """Return a list without ``most`` evenly spaced members, among them the first and the last."""
    if len(cases) <= most:
        return []
    step = (len(cases) - 1) / max(1, most - 1)
    chosen = {round(number * step) for number in range(most)}
    return [case for number, case in enumerate(cases) if number not in chosen]


def _needs_no_sqlite(item):
    """Check whether this is a run on SQLite of a test that does not need both databases."""
    return _on_sqlite(item) and not _marked(item, "both_databases")


def _on_sqlite(item):
    return hasattr(item, "callspec") and item.callspec.params.get("app") == "sqlite"


def _marked(item, name):
    return item.get_closest_marker(name) is not None


@pytest.fixture(scope="session")
def count(pytestconfig):
    """``count(few, many=…)``: how often to repeat something; ``many`` only with ``--long``."""
    return lambda few, *, many: many if pytestconfig.getoption("--long") else few


@pytest.fixture(scope="session")
def time_limit(pytestconfig):
    """``time_limit(0.5)``: a limit in seconds; at least 5 without ``--long``.

    So no test fails only because the machine is busy.
    """
    return lambda seconds: seconds if pytestconfig.getoption("--long") else max(seconds, 5)


@pytest.fixture(scope="session")
def postgres_url():
    """The empty first database of a PostgreSQL; create others with ``fresh_database``."""
    with servers.postgres() as server:
        yield server.url


@pytest.fixture
def url(postgres_url):
    """The URL of an empty PostgreSQL database for one test."""
    url = servers.fresh_database(postgres_url)
    yield url
    servers.drop_database(url)


@pytest.fixture(scope="session")
def redis_url():
    with servers.redis_server() as server:
        yield server.url


@pytest.fixture
def own_postgres():
    """A PostgreSQL for one test, which may freeze, kill and start it."""
    with servers.postgres(own=True) as server:
        yield server


@pytest.fixture
def own_redis():
    """A Redis for one test, which may freeze, kill and start it."""
    with servers.redis_server(own=True) as server:
        yield server
