"""Static files of the pages. Each name contains a hash, so that files can be cached permanently."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from flask import url_for

_FOLDER: Final = Path(__file__).parent / "static"
_HASH_DIGITS: Final = 16


def address(name: str) -> str:
    """Return the URL of a file such as ``page.css``; it changes with the content."""
    return url_for("web.asset", name=_hashed()[name])


def content(hashed_name: str) -> bytes | None:
    """Return the file with this name and hash, or None."""
    return _contents().get(hashed_name)


@cache
def _hashed() -> dict[str, str]:
    names = {}
    for path in _FOLDER.iterdir():
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:_HASH_DIGITS]
        names[path.name] = f"{path.stem}.{digits}{path.suffix}"
    return names


@cache
def _contents() -> dict[str, bytes]:
    return {hashed: (_FOLDER / name).read_bytes() for name, hashed in _hashed().items()}
