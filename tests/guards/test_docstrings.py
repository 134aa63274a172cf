"""Every module opens with one sentence that says what it contains."""

import ast

from tests.guards import source_tree

# These two export names: `from vaultr import …`, and the entry point of the command.
OFFER_NAMES = {"vaultr/__init__.py", "vaultr/client/cli/__init__.py"}
# These import their modules, so that the views are registered on the blueprint.
REGISTER_VIEWS = {"vaultr/auth/routes/__init__.py", "vaultr/vault/routes/__init__.py"}

UNCLEAR_VERBS = ("Give ", "Gives ", "Have ", "Let ", "Say ", "Tell ", "Tells ", "Whatever ")


def test_every_module_opens_with_a_sentence():
    openings = {
        source_tree.shown(path): ast.get_docstring(source_tree.parsed(path))
        for path in source_tree.modules()
    }

    assert [name for name, opening in openings.items() if not _is_sentence(opening)] == []


def test_package_contains_only_one_docstring():
    packages = [path for path in source_tree.modules() if path.name == "__init__.py"]
    fuller = [
        source_tree.shown(path) for path in packages if len(source_tree.parsed(path).body) > 1
    ]

    assert set(fuller) <= OFFER_NAMES | REGISTER_VIEWS


def test_every_folder_of_modules_is_a_package():
    """A wheel does not include a folder without ``__init__.py``."""
    folders = {path.parent for path in source_tree.PACKAGE.rglob("*.py")}

    assert [
        source_tree.shown(path) for path in folders if not (path / "__init__.py").exists()
    ] == []


def test_no_docstring_begins_with_an_unclear_verb():
    """Use "Return", "Yield", "Make" or the verb that says what happens."""
    found = [
        f"{source_tree.shown(path)}:{node.lineno} {node.name}"
        for path in [*source_tree.modules(), *source_tree.around()]
        for node in ast.walk(source_tree.parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if (ast.get_docstring(node) or "").startswith(UNCLEAR_VERBS)
    ]

    assert found == []


def _is_sentence(opening):
    return bool(opening) and opening.partition("\n\n")[0].rstrip().endswith((".", "?", "!"))
