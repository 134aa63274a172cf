"""The example files contain exactly the settings."""

import re

from tests.guards import source_tree
from vaultr.settings.model import Settings


def test_each_example_names_every_setting_and_no_other():
    """A line is ``NAME=value``; one that starts with ``#`` shows the default."""
    settings = {name.upper() for name in Settings.model_fields}
    differing = {}
    for example in (source_tree.ROOT / "config").glob("*.env.example"):
        named = set(re.findall(r"^(?:# ?)?([A-Z][A-Z0-9_]*)=", example.read_text(), re.M))
        if named != settings:
            differing[source_tree.shown(example)] = named ^ settings

    assert differing == {}
