"""No module has more than 400 lines, no function more than 40; small modules are shared."""

import ast
from collections import Counter

from tests.guards import source_tree

MODULE_LINES = 400
FUNCTION_LINES = 40
# A module with fewer lines needs two importers, so that it is more than a piece of another one.
SMALL_LINES = 40
# The layout gives each feature a module of this name.
ROLES = {"archive", "emails", "key_usage", "models", "purge", "responses", "routes", "schemas"}
# One module for each of several things of a kind; they are loaded by name, or all by one module.
ONE_OF_A_KIND = ("vaultr/client/exports/", "vaultr/client/imports/", "vaultr/ops/doctor/")
SMALL = {
    "vaultr/api/cors.py",  # the layout names it
    "vaultr/client/sdk/agent_process.py",  # a program
    "vaultr/version.py",  # setup.cfg reads it
    "vaultr/web/assets.py",  # the layout names it
}


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


def test_small_modules_have_two_importers():
    importers = Counter(name for path in source_tree.modules() for name in _modules_of(path))
    small = {
        source_tree.shown(path): importers[source_tree.shown(path)]
        for path in source_tree.modules()
        if len(path.read_text().splitlines()) < SMALL_LINES
        if path.stem not in ROLES | {"__init__", "wsgi"}
    }
    lonely = {name for name, count in small.items() if count < 2}

    assert {name for name in lonely - SMALL if not name.startswith(ONE_OF_A_KIND)} == set()


def _modules_of(path):
    """Return the files of our modules that a module imports."""
    found = set()
    for name, _ in source_tree.imports(path):
        for candidate in (name, name.rpartition(".")[0]):
            file = f"{candidate.replace('.', '/')}.py"
            if (source_tree.ROOT / file).exists():
                found.add(file)
    return found


def _lines_of_code(function):
    """Count the lines from ``def`` to the end, but not its docstring."""
    whole = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return whole
    text = function.body[0]
    return whole - (text.end_lineno - text.lineno + 1)
