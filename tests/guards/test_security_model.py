"""Every test that docs/security-model.md names exists."""

import ast
import re

import pytest

from tests.guards import source_tree

PAGE = source_tree.ROOT / "docs" / "security-model.md"
NAMED = re.compile(r"`([a-z_]+/test_\w+\.py)::(test_\w+)`")


def rows():
    """Yield the rows of all tables whose second column names tests."""
    text = PAGE.read_text()
    for table in re.findall(r"\| promise \| held by \|\n\| --- \| --- \|\n((?:\|.*\n)+)", text):
        yield from table.splitlines()


def named():
    return sorted(set(NAMED.findall(PAGE.read_text())))


def test_each_promise_names_a_test():
    assert len(list(rows())) > 50
    assert [row for row in rows() if not NAMED.search(row)] == []


@pytest.mark.parametrize("module", sorted({module for module, _ in named()}))
def test_named_tests_exist(module):
    parsed = ast.parse((source_tree.ROOT / "tests" / module).read_text())
    there = {one.name for one in ast.walk(parsed) if isinstance(one, ast.FunctionDef)}

    assert {test for where, test in named() if where == module} <= there


def test_every_reference_to_a_test_is_well_formed():
    """Otherwise a malformed reference would not be checked."""
    text = PAGE.read_text()

    assert len(re.findall(r"::test_", text)) == len(NAMED.findall(text))
    assert len(re.findall(r"\btest_\w+\.py\b", text)) == len(NAMED.findall(text)) + 1
