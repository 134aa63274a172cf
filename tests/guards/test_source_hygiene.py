"""No file has local paths, unfinished work, skipped tests, or disabled rules without reason."""

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


def test_no_file_contains_a_local_machine_path():
    assert _lines_that(MACHINE.search) == []


def test_no_file_contains_unfinished_work_markers():
    assert _lines_that(UNDONE.search) == []


def test_no_test_is_skipped():
    assert _lines_that(SKIPPED.search) == []


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
