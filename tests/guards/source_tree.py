"""The files of the project, for guard tests."""

import ast
import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vaultr"
AROUND = ("bench", "config", "migrations", "tests")
# Build results, caches and downloads.
BESIDE = {".git", ".venv", ".tools", "__pycache__", "build", "dist", "secrets", "var"}


@cache
def modules():
    """List the modules of the package and the two that start it."""
    return [*sorted(PACKAGE.rglob("*.py")), *(path for path in [ROOT / "wsgi.py"] if path.exists())]


@cache
def around():
    """List the modules beside the package: tests, benches and migrations."""
    return sorted(path for name in AROUND for path in (ROOT / name).rglob("*.py"))


@cache
def files():
    """List all text files of the repository."""
    found = []
    for folder, names, here in os.walk(ROOT):
        names[:] = [name for name in names if not _beside(name)]
        found += [Path(folder, name) for name in here if _is_text(Path(folder, name))]
    return sorted(found)


def _beside(name):
    return name in BESIDE or name.endswith(("_cache", ".egg-info")) or name == ".hypothesis"


def _is_text(path):
    if path.name == ".git":  # a linked work tree has a file of this name
        return False
    if path.suffix in {".pyc", ".so", ".png", ".ico", ".woff2", ".gz", ".zip", ".db"}:
        return False
    return path.is_file() and b"\0" not in path.read_bytes()[:4096]


@cache
def parsed(path):
    return ast.parse(path.read_text())


@cache
def nodes(path):
    """List all nodes of a module's syntax tree; a dozen guards read them."""
    return list(ast.walk(parsed(path)))


def shown(path):
    """Return the path from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """List what a module imports: (full name, line); ``from a import b`` is ``a.b``."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(path, node)
            yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)


def _origin(path, node):
    if not node.level:
        return node.module
    package = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])
