"""Rules of the layout that the import contracts in setup.cfg cannot express."""

import ast
import configparser
import re
from collections import defaultdict

import pytest

from tests.guards import source_tree

# Modules with a feature's routes or commands; only these may read the request.
OUTER = {"routes", "commands", "admin"}
OF_FLASK = {"flask.request", "flask.session", "flask.g"}
# Owners of the app's own extension dictionary.
EXTENSION_OWNERS = {"vaultr/app_state.py", "vaultr/extensions.py"}
# What other packages may import from a feature.
PUBLIC = {"service", "errors", "events"}
# `app` puts the features together. The container's probe starts every few seconds, and the service
# of `health` imports Flask.
BEHIND_A_SERVICE = {"vaultr/app.py", "vaultr/healthcheck.py"}


def features():
    """Return the packages of the server that have a service.py."""
    return {path.parent.name for path in source_tree.PACKAGE.glob("*/service.py")}


def test_every_top_level_module_has_a_layer():
    config = configparser.ConfigParser()
    config.read(source_tree.ROOT / "setup.cfg")
    section = config["importlinter:contract:layers"]
    layers = set(re.findall(r"\w+", section["layers"] + section["exhaustive_ignores"]))
    present = {path.stem for path in source_tree.PACKAGE.glob("*.py") if path.stem != "__init__"}
    present |= {path.parent.name for path in source_tree.PACKAGE.glob("*/__init__.py")}

    assert present - layers == set()


def test_every_package_with_routes_has_a_service():
    """Except `web`: its pages use other features, and none uses it."""
    packages = {path.relative_to(source_tree.PACKAGE).parts[0] for path in _routes()}

    assert packages - features() == {"web"}


def test_service_module_contains_no_code():
    pages = source_tree.PACKAGE.glob("*/service.py")
    code = [
        f"{source_tree.shown(page)}:{node.lineno}"
        for page in pages
        for node in source_tree.parsed(page).body
        if not isinstance(node, ast.ImportFrom | ast.Expr | ast.Assign)
    ]

    assert code == []


def test_packages_import_only_the_public_modules_of_a_feature():
    """Its `service`, `errors` and `events`, never its tables."""
    names = features()
    behind = [
        f"{source_tree.shown(path)}:{line} {name}"
        for path in source_tree.modules()
        if source_tree.shown(path) not in BEHIND_A_SERVICE
        for name, line in source_tree.imports(path)
        for package, feature, inner, *_ in [[*name.split("."), "", ""]]
        if package == "vaultr" and feature in names and inner not in PUBLIC
        if feature not in source_tree.shown(path).split("/")
    ]

    assert behind == []


@pytest.mark.parametrize("side", ["server", "client"])
def test_no_two_public_classes_have_one_name(side):
    places = defaultdict(list)
    for path in source_tree.modules():
        name = source_tree.shown(path)
        if name.startswith("vaultr/client/") == (side == "client"):
            for node in source_tree.parsed(path).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(name)

    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_only_routes_and_commands_read_the_request():
    behind = [
        path
        for feature in features()
        for path in (source_tree.PACKAGE / feature).rglob("*.py")
        if not OUTER & {path.stem, path.parent.name}
    ]
    touching = [
        f"{source_tree.shown(path)}:{line}" for path in behind for line in request_lines(path)
    ]

    assert touching == []


def test_extensions_are_not_looked_up_by_string():
    pattern = re.compile(r"app\.extensions(\[|\.(get|pop|setdefault)\()")
    found = [
        f"{source_tree.shown(path)}:{number}"
        for path in source_tree.modules()
        if source_tree.shown(path) not in EXTENSION_OWNERS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


def request_lines(path):
    for name, line in source_tree.imports(path):
        if name.replace(".globals.", ".") in OF_FLASK:
            yield line
    for node in source_tree.nodes(path):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in OF_FLASK:
            yield node.lineno


def _routes():
    return [*source_tree.PACKAGE.glob("*/routes.py"), *source_tree.PACKAGE.glob("*/routes")]
