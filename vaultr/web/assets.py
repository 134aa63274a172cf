"""Files that pages are made of: each has its hash in its name, so it may be kept for ever."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from flask import url_for

_FOLDER: Final = Path(__file__).parent / "static"
_HASH_DIGITS: Final = 16


def address(name: str) -> str:
    """Give the address of a file, such as ``page.css``; another content has another address."""
    return url_for("web.asset", name=_hashed()[name])


def content(hashed_name: str) -> bytes | None:
    """Give the file that has this name and this hash, or None."""
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
