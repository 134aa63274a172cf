"""Read the test vectors that all clients share."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "vectors"


def load(name):
    """Return one file of vectors; bytes in it are hex."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def cases(name):
    """Return the cases of one file."""
    return load(name)["cases"]
