"""docs/promises.md has every row of the deployment guide, and its tests exist."""

import ast
import functools
import re

from tests.guards import source_tree

PAGE = source_tree.ROOT / "docs" / "promises.md"
# Rows of each section of the guide.
SECTIONS = {
    "S": 10, "I": 9, "A": 7, "R": 10, "U": 2, "E": 4, "M": 7, "D": 8, "C": 8, "K": 11, "G": 4,
    "W": 3, "H": 13, "T": 2, "B": 6, "Y": 5, "P": 4, "N": 10, "V": 3,
}  # fmt: skip
# Things that people do, or that a tool does for all tests; such a row names a file.
WITHOUT_TEST = {"A2", "N9"}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows():
    """Return the text of each row by its number."""
    found = re.findall(r"(?m)^\| ([A-Z]\d+) \| (.*) \|$", PAGE.read_text())
    assert len(found) == len(dict(found))
    return dict(found)


@functools.cache
def names_in(path):
    """Return the names of the tests in a file, except those that never run."""
    parsed = ast.parse((source_tree.ROOT / path).read_text())
    return {
        one.name
        for one in parsed.body
        if isinstance(one, ast.FunctionDef)
        and not any("skip" in ast.unparse(mark) for mark in one.decorator_list)
    }


def test_every_row_of_the_guide_is_on_the_page():
    wanted = {f"{name}{number + 1}" for name, count in SECTIONS.items() for number in range(count)}

    assert len(wanted) == 126
    assert {*rows()} == wanted


def test_every_row_names_a_test_or_a_file():
    for number, text in rows().items():
        assert bool(NAMED.search(text)) != (number in WITHOUT_TEST), number
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert (PAGE.parent / link).exists(), link


def test_every_test_of_the_page_exists_and_runs():
    text = PAGE.read_text()
    named = NAMED.findall(text)

    assert len(named) == len(re.findall(r"::test_", text)) > 126
    assert [(path, name) for path, name in named if name not in names_in(path)] == []
