"""No file has local paths, unfinished work, skipped tests, or disabled rules without reason.

Tests expect nothing in less than five seconds, and import helpers, but no other test modules.
"""

import ast
import re
import tokenize
from pathlib import Path

from tests.guards import source_tree

MACHINE = re.compile(r"(?<![\w.:/-])/(?:work|root)\b|(?<![\w.])/home/\w")
UNDONE = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|NotImplementedError)\b")
SKIPPED = re.compile(r"\bpytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b")
SWITCH = re.compile(
    r"(?:noqa|type: ignore|nosec|pragma: no cover)\b:?\s*(?:\[[\w, -]*\]|[A-Z]+\d+[, ]*)*"
)
LETTERS_OF_A_REASON = 10
CLOCKS = {"monotonic", "perf_counter", "process_time"}
LEAST_SECONDS = 5


def test_no_file_contains_a_local_machine_path():
    assert _lines_that(MACHINE.search) == []


def test_no_file_contains_unfinished_work_markers():
    assert _lines_that(UNDONE.search) == []


def test_no_test_is_skipped():
    assert _lines_that(SKIPPED.search) == []


def test_no_assertion_expects_less_than_five_seconds():
    """A busy machine would make it fail; `time_limit` is stricter with ``--long`` only."""
    found = [
        f"{source_tree.shown(path)}:{compared.lineno} {ast.unparse(compared)}"
        for path in source_tree.around()
        if any(clock in path.read_text() for clock in CLOCKS)
        for function in source_tree.nodes(path)
        if isinstance(function, ast.FunctionDef)
        for times in [_times(function)]
        for compared in ast.walk(function)
        if isinstance(compared, ast.Compare) and _is_short(compared, times)
    ]

    assert found == []


def test_no_test_module_is_imported():
    """What several of them need is in tests/harness."""
    found = [
        f"{source_tree.shown(path)}:{line} {name}"
        for path in source_tree.around()
        for name, line in source_tree.imports(path)
        if re.match(r"tests(\.\w+)*\.test_\w+", name)
    ]

    assert found == []


def test_disabled_linter_rule_has_its_reason_on_the_line():
    bare = []
    for path in [*source_tree.modules(), *source_tree.around()]:
        if not SWITCH.search(path.read_text()):
            continue
        with tokenize.open(path) as lines:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type == tokenize.COMMENT and _is_bare(token.string):
                    bare.append(f"{source_tree.shown(path)}:{token.start[0]}")

    assert bare == []


def _is_short(compared, times):
    """Check whether a measured time must be below a number that is less than five."""
    if len(compared.ops) != 1 or not isinstance(compared.ops[0], ast.Lt | ast.LtE):
        return False
    limit = compared.comparators[0]
    return (
        isinstance(limit, ast.Constant)
        and limit.value < LEAST_SECONDS
        and (_reads_clock(compared.left) or bool(_names(compared.left) & times))
    )


def _times(function):
    """Return the names of a function that contain a time or a difference of times."""
    return {
        name
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _reads_clock(node.value)
        for target in node.targets
        for name in _names(target)
    }


def _reads_clock(node):
    return any(isinstance(each, ast.Attribute) and each.attr in CLOCKS for each in ast.walk(node))


def _names(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _lines_that(match):
    return [
        f"{source_tree.shown(path)}:{number} {line.strip()[:80]}"
        for path in source_tree.files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if match(line)
    ]


def _is_bare(comment):
    reason = SWITCH.sub("", comment)
    switched = reason != comment
    return switched and len(re.findall(r"[A-Za-z]", reason)) < LETTERS_OF_A_REASON
