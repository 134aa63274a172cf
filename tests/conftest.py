"""The servers that tests stand on, and how far tests count."""

from pathlib import Path

import pytest

from tests import servers

ROLLOUT = Path(__file__).parent / "rollout"
FAULTS = Path(__file__).parent / "faults"
pytest_plugins = ["tests.serving", "tests.operating"]


def pytest_addoption(parser):
    parser.addoption("--write-docs", action="store_true", help="write the pages that tests make")
    parser.addoption("--rollout", action="store_true", help="prove the deployment files too")
    parser.addoption("--long", action="store_true", help="count in full: kills, races, big tables")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by what is marked here
def pytest_collection_modifyitems(config, items):
    for item in items:
        if FAULTS in item.path.parents:
            item.add_marker(pytest.mark.alone)
    left_out = []
    if not config.getoption("--long"):
        left_out += [item for item in items if item.get_closest_marker("long")]
    if not config.getoption("--rollout"):  # `make check-rollout` installs what they need
        left_out += [item for item in items if ROLLOUT in item.path.parents]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def count(pytestconfig):
    """``count(few, many=…)``: how often to do it; many only with ``make test-long``."""
    return lambda few, *, many: many if pytestconfig.getoption("--long") else few


@pytest.fixture(scope="session")
def postgres_url():
    """The empty first database of a PostgreSQL; make your own beside it by ``fresh_database``."""
    with servers.postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_url():
    with servers.redis_server() as server:
        yield server.url


@pytest.fixture
def own_postgres():
    """A PostgreSQL for one test alone, which may freeze, kill and start it."""
    with servers.postgres(own=True) as server:
        yield server


@pytest.fixture
def own_redis():
    """A Redis for one test alone, which may freeze, kill and start it."""
    with servers.redis_server(own=True) as server:
        yield server
