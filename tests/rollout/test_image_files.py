"""Dockerfile and build context: a pinned base, no root, and only the files of the server."""

import re

import pathspec

from tests.rollout import tools

DOCKERFILE = tools.ROOT / "Dockerfile"


def test_hadolint_passes():
    done = tools.run("hadolint", "Dockerfile")

    assert done.returncode == 0, tools.output_of(done)


def test_checkov_passes_for_dockerfile():
    assert tools.checkov("dockerfile", "--file", "Dockerfile") == []


def test_every_base_image_is_pinned_by_digest():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.M)

    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases[0])


def test_server_starts_without_shell_or_root():
    text = DOCKERFILE.read_text()

    assert 'CMD ["gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]' in text
    assert "ENTRYPOINT" not in text
    assert re.search(r"^USER 10001:10001$", text, re.M)


def test_build_context_contains_only_server_files():
    paths = _context(_tracked())

    assert {path.split("/")[0] for path in paths} == {
        "LICENSE", "README.md", "config", "deploy", "migrations", "pyproject.toml",
        "requirements.txt", "setup.cfg", "vaultr", "wsgi.py",
    }  # fmt: skip
    deployed = [path for path in paths if path.startswith("deploy/")]
    assert deployed == ["deploy/postgres/roles.sql"]


def test_build_context_excludes_stray_secrets():
    stray_files = [
        ".env", "vaultr/.env", "vaultr/production.env", ".git/config", "secrets/jwt_secret",
        "vaultr/server.pem", "migrations/tls.key", "var/vaultr.sqlite3", "vaultr/x.sqlite3-wal",
        "tests/conftest.py", "deploy/x", "vaultr/__pycache__/app.cpython-313.pyc", "mail/1.eml",
        "config/production.env", "nested/wsgi.py",
    ]  # fmt: skip

    assert _context(stray_files) == []


def _tracked():
    return tools.run("git", "ls-files").stdout.split()


def _context(paths):
    """List the paths in the build context; the last matching line of .dockerignore decides."""
    lines = (tools.ROOT / ".dockerignore").read_text().splitlines()
    spec = pathspec.GitIgnoreSpec.from_lines(_anchored(line) for line in lines)
    return [path for path in paths if not spec.match_file(path)]


def _anchored(line):
    """Convert a line to git's form, because Docker matches from the root of the context."""
    bare = line.removeprefix("!")
    if not bare or bare.startswith(("#", "**/")):
        return line
    return f"{'!' if line.startswith('!') else ''}/{bare}"
