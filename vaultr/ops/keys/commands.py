"""`flask keys`: generate and rotate server keys, even if the server cannot start."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from vaultr import clock
from vaultr.errors import Conflict
from vaultr.operator_cli import command, json_option, show
from vaultr.ops.keys.files import KeyringLocation, WrittenKeyring, new_id
from vaultr.settings.loader import generate_keys
from vaultr.settings.types import KEY_SETS

keys = AppGroup("keys", help="Generate, rotate and compare server keys.")

_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with one file for each keyring (default: <NAME>_FILE or the variable)",
)
_name = click.argument("name", type=click.Choice(KEY_SETS, case_sensitive=False))


class StillNeeded(Conflict):
    """Something still needs this key. Run `flask keys status` to see what."""


@keys.command("generate", with_appcontext=False)
@_folder
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file to write NAME='value' lines to",
)
@json_option
def generate(folder: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Generate a complete set of keys: print NAME='value' lines, or write private files.

    Existing files are never overwritten.

    Example: flask keys generate --env-file .env
    """
    if folder is not None and env_file is not None:
        raise click.UsageError("Use either --dir or --env-file, not both.")
    generated = generate_keys(new_id(clock.now()))
    lines = [f"{name}='{text}'" for name, text in generated.items()]
    if env_file is not None:
        if not _write(env_file, "\n".join(lines)):
            raise click.ClickException(
                f"{env_file} already exists, so nothing was written. Choose another file."
            )
        answer = {"written": [str(env_file)], "kept": []}
        show(answer, as_json=as_json, lines=lambda: [f"written: {env_file}"])
        return
    if folder is None:
        _warn_if_others_can_read()
        show(generated, as_json=as_json, lines=lambda: lines)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = [name for name, text in generated.items() if _write(folder / name.lower(), text)]
    unchanged = [name for name in generated if name not in written]
    message = [f"written: {name.lower()}" for name in written]
    message += [f"unchanged: {name.lower()}" for name in unchanged]
    show({"written": written, "kept": unchanged}, as_json=as_json, lines=lambda: message)


@keys.command("rotate", with_appcontext=False)
@_name
@_folder
@click.option(
    "--reloaded", is_flag=True, help="All servers were reloaded after the key was announced"
)
@json_option
@command
def rotate(name: str, folder: Path | None, *, reloaded: bool, as_json: bool) -> None:
    """Replace a key in two steps, so that every server knows it before it is used.

    The first step announces the new key: it is added after the one in use. Reload every server
    (SIGHUP to gunicorn, or a rolling restart) and every `flask worker`. Then repeat the command
    with --reloaded, which puts the new key first, and reload again; from then on the new key signs
    and seals. Keep the old key for values that it signed or sealed, until `retire` removes it.

    Example: flask keys rotate JWT_SECRET --dir secrets
    """
    location = KeyringLocation.of(name, folder, os.environ)
    with location.locked():
        before = location.read()
        after = before.switched() if reloaded else before.with_new(clock.now())
        location.write(after)
    step = "in use" if reloaded else "announced"
    new = after.in_use if reloaded else after.announced
    message = f"{new} is {step}. Reload every server and worker"
    message += (
        f"; then it signs and seals. Keep {before.in_use} until nothing needs it."
        if reloaded
        else f", then run: flask keys rotate {name} --reloaded"
    )
    _report(location, after, {"name": name, "key": new, "step": step}, message, as_json=as_json)


@keys.command("retire")
@_name
@click.argument("key_id")
@_folder
@json_option
@command
def retire(name: str, key_id: str, folder: Path | None, *, as_json: bool) -> None:
    """Remove an old key, unless something still needs it.

    Example: flask keys retire JWT_SECRET 20261125104512-ab12 --dir secrets
    """
    from vaultr.ops.keys import usage  # noqa: PLC0415 - `generate` needs no feature

    location = KeyringLocation.of(name, folder, os.environ)
    with location.locked():
        after = location.read().without(key_id)
        use = usage.use_of(name, key_id)
        if use.count:
            raise StillNeeded(f"{name}: {use} still need {key_id}. {usage.way_out(name)}")
        location.write(after)
    message = f"{key_id} was removed. Reload every server and worker."
    _report(
        location, after, {"name": name, "key": key_id, "step": "retired"}, message, as_json=as_json
    )


@keys.command("status")
@_folder
@json_option
@command
def status(folder: Path | None, *, as_json: bool) -> None:
    """List the keys of each keyring and what needs them, never the keys themselves.

    A key that the data needs but that is absent here is `missing`: add it again. Exits with 1 if
    a key is missing.

    Example: flask keys status --dir secrets
    """
    from vaultr.ops.keys import usage  # noqa: PLC0415 - `generate` needs no feature
    from vaultr.security import keyring as loaded  # noqa: PLC0415 - `generate` needs no feature

    rows, lines = [], []
    for name in KEY_SETS:
        ring = getattr(loaded.current(), loaded.RINGS[name])
        written = KeyringLocation.of(name, folder, os.environ).read() if folder else None
        known = written or WrittenKeyring(name, ring.keys.by_id)
        missing = usage.missing(name, known.by_id)
        uses = {key_id: usage.use_of(name, key_id) for key_id in known.by_id} | missing
        for key_id, use in uses.items():
            role = "missing" if key_id in missing else _role(known, key_id)
            row = {"name": name, "key": key_id, "role": role}
            rows.append(row | {"count": use.count, "what": use.what})
            lines.append(f"{name:12} {key_id:24} {role:10} {use}")
    show(rows, as_json=as_json, lines=lambda: lines)
    if any(row["role"] == "missing" for row in rows):
        raise SystemExit(1)


@keys.command("fingerprint")
@_folder
@json_option
@command
def fingerprint(folder: Path | None, *, as_json: bool) -> None:
    """Print the fingerprint of each server key, to compare two places.

    A backup's manifest names the keys that it needs in the same way.

    Example: flask keys fingerprint --dir secrets
    """
    from vaultr.ops.keys.fingerprints import listed  # noqa: PLC0415 - `generate` needs no feature

    rows = listed(folder)
    lines = [f"{row['name']:14} {row['key']:24} {row['fingerprint']}" for row in rows]
    show(rows, as_json=as_json, lines=lambda: lines)


@keys.command("reseal")
@json_option
@command
def reseal(*, as_json: bool) -> None:
    """Reseal values that are sealed under older keys (second factors, emails).

    The worker does this every hour. Exits with 1 if some cannot be opened, and says what to do;
    with --json, `left` counts them.

    Example: flask keys reseal
    """
    from vaultr.ops.keys import usage  # noqa: PLC0415 - `generate` needs no feature

    message = {name: one() for name, one in usage.RESEALERS.items()}
    left = {name: one.left for name, one in message.items()}
    answer = {**{name: one.done for name, one in message.items()}, "left": left}
    lines = [f"{name:12} {one.done}" for name, one in message.items()]
    show(answer, as_json=as_json, lines=lambda: lines)
    todo = [usage.left_over(name, count) for name, count in left.items() if count]
    if todo:
        raise click.ClickException("\n".join(todo))


def _role(known: WrittenKeyring, key_id: str) -> str:
    if key_id == known.in_use:
        return "in use"
    return "announced" if key_id == known.announced else "old"


def _report(
    location: KeyringLocation,
    after: WrittenKeyring,
    answer: dict[str, Any],
    message: str,
    *,
    as_json: bool,
) -> None:
    """Print the result; print a variable's new value too, since only its owner can set it."""
    if location.path is not None:
        show(answer, as_json=as_json, lines=lambda: [message])
        return
    value = after.text().replace("\n", ",")
    _warn_if_others_can_read()
    show({**answer, "value": value}, as_json=as_json, lines=lambda: [f"{location.name}='{value}'"])
    click.echo(f"Set {location.name} to this value. {message}", err=True)


def _warn_if_others_can_read() -> None:
    mode = os.fstat(sys.stdout.fileno()).st_mode if _has_descriptor() else 0
    if stat.S_ISREG(mode) and mode & 0o077:
        click.echo(
            "Other users of this machine can read the output file: run `chmod 600` on it, or use"
            " --env-file.",
            err=True,
        )


def _has_descriptor() -> bool:
    try:
        return sys.stdout.fileno() >= 0
    except (OSError, ValueError):
        return False


def _write(path: Path, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    return True
