"""What the tests of the client stand on."""

import pytest

from tests.client.world import World


@pytest.fixture(scope="session")
def first_world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world")).keep_key()


@pytest.fixture
def world(first_world, tmp_path):
    """An owner with one signed-in device, at a server in memory."""
    return first_world.copied(tmp_path)
