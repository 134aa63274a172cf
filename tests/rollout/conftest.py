"""The tools of `make tools`, first on PATH."""

import os

import pytest

from tests.rollout import tools


@pytest.fixture(scope="session", autouse=True)
def tools_on_path():
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tools.FOLDER / 'bin'}:{before}:/usr/sbin:/sbin"
    yield
    os.environ["PATH"] = before
