"""No module has more than 400 lines, no function more than 40."""

import ast

from tests.guards import source_tree

MODULE_LINES = 400
FUNCTION_LINES = 40


def test_no_module_is_over_400_lines():
    lengths = {
        source_tree.shown(path): len(path.read_text().splitlines())
        for path in [*source_tree.modules(), *source_tree.around()]
    }

    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_no_function_is_over_40_lines():
    lengths = {
        f"{source_tree.shown(path)}:{node.lineno} {node.name}": _lines_of_code(node)
        for path in source_tree.modules()
        for node in source_tree.nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def _lines_of_code(function):
    """Count the lines from ``def`` to the end, but not its docstring."""
    whole = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return whole
    text = function.body[0]
    return whole - (text.end_lineno - text.lineno + 1)
