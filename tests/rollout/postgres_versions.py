"""Start a PostgreSQL of a chosen version, from the packages that `make tools` installs."""

import contextlib
import json
import os
import shutil

import pytest

from tests.harness import server_programs, servers
from tests.rollout import tools

VERSIONS = ("15", "16", "17", "18")


@contextlib.contextmanager
def running(version):
    """Yield a server, and a folder that is removed after it."""
    with servers.scratch("vaultr-versions-") as folder, pytest.MonkeyPatch.context() as patch:
        programs = _programs(version, folder)
        patch.setattr(server_programs, "_postgres_programs", lambda _: [programs])
        with servers.postgres(own=True) as server:
            found = servers.run_sql(server.url, "SHOW server_version")[0][0]
            assert found.startswith(f"{version}.")
            yield server, folder


def _programs(version, folder):
    """Copy the programs to where the server's user can reach them, with the links of libraries."""
    source = tools.FOLDER / "npm" / "node_modules" / f"postgres-{version}" / "native"
    home = folder / "native"
    shutil.copytree(source, home)
    for one in json.loads((source / "pg-symlinks.json").read_text()):
        link = folder / one["target"]
        if not link.exists():
            link.symlink_to(folder / one["source"])
    for path in home.rglob("*"):  # npm leaves some files to their owner
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return home / "bin"


def create_roles(url, folder, password):
    """Create the roles of roles.sql, all with this password."""
    path = folder / "password"
    path.write_text(password)
    named = ("APP", "OWNER", "SEQUENCER", "SCRATCH")
    environ = {**os.environ, **{f"{name}_PASSWORD_FILE": str(path) for name in named}}
    done = tools.run("psql", "-v", "ON_ERROR_STOP=1", "--quiet", "--dbname", url,
                     "--file", "deploy/postgres/roles.sql", env=environ)  # fmt: skip
    assert done.returncode == 0, tools.output_of(done)
