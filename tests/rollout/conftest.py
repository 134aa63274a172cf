"""Put the tools of `make tools` first on PATH."""

import os

import pytest

from tests.rollout import aws, containers, tools

IMAGE = "test_image.py"


def pytest_collection_modifyitems(config, items):
    """Leave out tests that build an image if that is not possible; the summary says why."""
    left_out = [item for item in items if item.path.name == IMAGE]
    if left_out and config.getoption("--rollout") and not containers.missing():
        return
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--rollout") and (reason := containers.missing()):
        terminalreporter.write_line(f"The image was not built: {reason}.")


@pytest.fixture(scope="session", autouse=True)
def tools_on_path():
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tools.FOLDER / 'bin'}:{before}:/usr/sbin:/sbin"
    yield
    os.environ["PATH"] = before


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """An AWS account with all stacks of Vaultr."""
    with aws.Cloud(tmp_path_factory.mktemp("aws")) as cloud:
        cloud.install()
        yield cloud
