"""The game day: its script recovers from all disasters and writes docs/game-day.md."""

import re

import pytest

from tests.rollout import game_day
from tests.rollout.game_day_page import PAGE, RUNBOOK
from tests.rollout.live_prometheus import FACTOR

DISASTERS = ["Database lost", "Region lost", "Wrong restore", "Keys lost", "Disk full"]
DISASTERS += ["Redis gone", "Mail gone"]
ALERT = re.compile(r"^\| \[(Vaultr\w+)\]\(runbook\.md#vaultr\w+\) \| \d+ s \|$", re.M)


def sections(text):
    """Return the text of each section, by its heading."""
    _, *parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_game_day_covers_each_disaster_of_the_runbook():
    names = [one.__name__ for one in game_day.DISASTERS]

    assert names == [one.lower().replace(" ", "_") for one in DISASTERS]
    for heading in ("Database lost", "Region lost", "Wrong restore", "Lost keys", "Disk full"):
        assert f"\n## {heading}\n" in RUNBOOK.read_text("utf-8")


def check_page(text):
    """Check that a page has each disaster with its alert, the runbook and the last check."""
    found = sections(text)
    assert list(found) == ["The day begins", *DISASTERS, "What is left"]
    assert f"divided by {FACTOR}" in " ".join(text.split())
    for heading in DISASTERS:
        assert ALERT.search(found[heading]), heading
        assert "[The runbook](runbook.md#" in found[heading]
    assert "with the values that were written" in found["What is left"]


def test_game_day_page_has_alert_and_runbook_per_disaster():
    check_page(PAGE.read_text("utf-8"))


@pytest.mark.long
def test_system_recovers_from_all_disasters_without_data_loss(tmp_path_factory):
    folder = tmp_path_factory.mktemp("game-day")
    for one in (folder, *list(folder.parents)[:2]):
        one.chmod(0o755)  # PostgreSQL runs as another user

    check_page(game_day.run(folder))
