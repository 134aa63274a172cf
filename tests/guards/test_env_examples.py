"""The example environment files describe each setting as the server does."""

import re
import textwrap

import pytest

from tests.guards import source_tree
from vaultr.ops.settings_commands import described
from vaultr.settings.loader import generate_keys
from vaultr.settings.model import Settings
from vaultr.settings.types import KEY_SETS

EXAMPLES = ("development", "production")
# These defaults depend on VAULTR_ENV, on other settings or on the machine.
VARYING = {
    *("BIND", "BASE_URL", "DATABASE_URL", "BACKGROUND", "WEB_CONCURRENCY", "METRICS_PORT"),
}


def example(name):
    return (source_tree.ROOT / "config" / f"{name}.env.example").read_text()


def lines(name):
    """Return each setting's line: name, value, and whether it only shows the default."""
    found = re.findall(r"^(# )?([A-Z][A-Z0-9_]*)=(.*)$", example(name), re.M)
    return {setting: (value, bool(shown)) for shown, setting, value in found}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_describes_each_setting_like_the_server(name):
    for row in described():
        text = "".join(f"# {line}\n" for line in textwrap.wrap(row["description"], 95))
        assert re.search(re.escape(text) + f"(# )?{row['name']}=", example(name)), row["name"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_commented_setting_shows_the_actual_default(name):
    shown = {
        setting: value
        for setting, (value, default) in lines(name).items()
        if default and setting not in VARYING
    }
    defaults = {
        row["name"]: "" if row["default"] is None else str(row["default"]) for row in described()
    }

    assert {
        key: (value, defaults[key]) for key, value in shown.items() if value != defaults[key]
    } == {}


def test_development_example_equals_the_defaults(tmp_path):
    home = {"VAULTR_HOME": str(tmp_path)}
    shown = {key: value for key, (value, _) in lines("development").items() if value}

    assert all(default for _, default in lines("development").values())
    settings = Settings.from_environ({**shown, **home, "DATABASE_URL": "", "VAULTR_ENV": ""})
    assert settings == Settings.from_environ(home)


def test_production_example_is_complete_except_for_keys():
    provided = {key: value for key, (value, default) in lines("production").items() if not default}
    empty = {key for key, value in provided.items() if not value}

    assert empty == set(KEY_SETS)
    assert Settings.from_environ({**provided, **generate_keys("k")}).production
