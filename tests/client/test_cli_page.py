"""docs/cli.md is generated from the commands, and contains all of them."""

import pkgutil
import re

import vaultr.client
from tests.harness.client import cli_page
from tests.harness.client.cli_page import PAGE, commands, page
from vaultr.client.cli.exit_codes import EXIT_CODES
from vaultr.client.errors import VaultrError


def test_cli_page_matches_the_commands(pytestconfig):
    if pytestconfig.getoption("--write-docs"):
        PAGE.write_text(page())

    assert PAGE.read_text() == page(), "regenerate it: pytest --write-docs"


def test_every_command_has_a_section_with_example():
    text = page()

    for path, _ in commands():
        section = text.split(f"### {' '.join(path)}\n", 1)[1].split("\n### ", 1)[0]
        assert "Examples:" in section, path
        assert " ".join(path) in section.split("Examples:")[1], path


def test_terminal_width_does_not_change_the_page(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    assert page() == page()
    assert max(map(len, page().splitlines())) <= cli_page.COLUMNS + 10


def test_every_error_has_a_documented_exit_code():
    for module in pkgutil.walk_packages(vaultr.client.__path__, "vaultr.client."):
        if not module.name.endswith("__main__"):
            __import__(module.name)

    def all_of(kind):
        for each in kind.__subclasses__():
            yield each
            yield from all_of(each)

    codes = {each.__name__: each.exit_code for each in all_of(VaultrError)}
    assert {name: code for name, code in codes.items() if code not in EXIT_CODES} == {}
    assert set(codes.values()) >= {1, 2, 3, 4, 5, 126, 127}


def test_cli_page_links_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text())

    assert [link for link in links if not (PAGE.parent / link).exists()] == []
