"""What the import contracts of setup.cfg cannot say about who may know whom."""

import ast
import configparser
import re

from tests.guards import tree

DOORS = {"routes.py", "commands.py"}
OF_FLASK = {"flask.request", "flask.session", "flask.g"}


def test_every_top_level_module_has_a_floor():
    config = configparser.ConfigParser()
    config.read(tree.ROOT / "setup.cfg")
    floors = set(re.findall(r"\w+", config["importlinter:contract:floors"]["layers"]))
    there = {path.stem for path in tree.PACKAGE.glob("*.py") if path.stem != "__init__"}
    there |= {path.parent.name for path in tree.PACKAGE.glob("*/__init__.py")}

    assert there - floors == set()


def test_behind_the_doors_nobody_touches_the_request():
    """Routes and commands take what came in; services, models and schemas get values."""
    behind = [
        path
        for feature in tree.features()
        for path in feature.rglob("*.py")
        if path.name not in DOORS
    ]
    touching = [f"{tree.shown(path)}:{line}" for path in behind for line in _lines_on_request(path)]

    assert touching == []


def test_a_feature_is_used_by_its_service_never_by_its_tables():
    models = {feature.name for feature in tree.features() if (feature / "models.py").exists()}
    outside = [
        f"{tree.shown(path)}:{line} {name}"
        for path in tree.modules()
        for name, line in tree.imports(path)
        for feature in models
        if f"{name}.".startswith(f"vaultr.{feature}.models.")
        and not path.is_relative_to(tree.PACKAGE / feature)
        and path != tree.PACKAGE / "app.py"
    ]

    assert outside == []


def _lines_on_request(path):
    for name, line in tree.imports(path):
        if name.replace(".globals.", ".") in OF_FLASK:
            yield line
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in OF_FLASK:
            yield node.lineno
