"""The SDK examples in docs/sdk.md and the README run unchanged."""

import doctest
import re
from pathlib import Path

import pytest

from tests.harness.client.fake_server import FakeServer
from vaultr import Vaultr
from vaultr.client import errors

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server at the address in the pages, and a device that is new to it."""
    server = FakeServer()
    monkeypatch.setattr(
        "vaultr.client.transport.httpx_adapter.Network", lambda **_: server.transport()
    )
    monkeypatch.setenv("VAULTR_DIR", str(tmp_path / "device"))
    monkeypatch.setenv("VAULTR_AGENT", "off")
    monkeypatch.delenv("VAULTR_URL", raising=False)
    return server


def run(page, **known):
    text = re.sub(r"^```.*$", "", page, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, known, "page", None, 0)
    output = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)
    assert len(test.examples) > 0
    return test.globs


def test_examples_of_sdk_page_work(server):
    page = (ROOT / "docs" / "sdk.md").read_text()

    run(page, password="a master password for docs", token_of_the_mail="token0")


def test_readme_sdk_example_works(server):
    password = "a master password for docs"
    with Vaultr("https://vault.example") as first:
        first.signup("ann@example.org", password)
        first.verify("token0")
        first.login("ann@example.org", password)
        first.add("login", {"title": "Mail"}, {"password": "hunter2"})

    run((ROOT / "README.md").read_text(), password=password)


def test_error_classes_of_the_table_exist():
    page = (ROOT / "docs" / "sdk.md").read_text()

    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    assert {name: getattr(errors, name).exit_code for name, _ in rows} == {
        name: int(code) for name, code in rows
    }
