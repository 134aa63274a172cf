"""Reads the known answers that Python and the web vault share."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "vectors"


def load(name):
    """Give one file of vectors; bytes in it are hex."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def cases(name):
    """Give the cases of one file."""
    return load(name)["cases"]
