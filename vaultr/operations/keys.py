"""`flask keys`: draws the server's keys; runs just when the server itself refuses to start."""

import os
import secrets
from pathlib import Path

import click
from flask.cli import AppGroup

from vaultr import clock
from vaultr.console import json_option, show
from vaultr.environ import generate_keys

keys = AppGroup("keys", help="The server's keys. `flask check` tells which are missing.")


@keys.command("generate", with_appcontext=False)
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), help="Files.")
@json_option
def generate(folder: Path | None, *, as_json: bool) -> None:
    """Draw a complete set of keys, as NAME='value' lines or as files of a folder.

    A file that is there already is never overwritten.

    Example: flask keys generate > .env
    """
    drawn = generate_keys(f"{clock.now():%Y%m%d}{secrets.token_hex(2)}")
    if folder is None:
        show(drawn, as_json=as_json, lines=lambda: [f"{n}='{text}'" for n, text in drawn.items()])
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = [name for name, text in drawn.items() if _write(folder / name.lower(), text)]
    kept = [name for name in drawn if name not in written]
    lines = [f"written: {name.lower()}" for name in written]
    lines += [f"kept as it was: {name.lower()}" for name in kept]
    show({"written": written, "kept": kept}, as_json=as_json, lines=lambda: lines)


def _write(path: Path, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    return True
