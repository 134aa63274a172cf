"""One value in one response is changed: rejected with one clear error, or without effect."""

import random

import pytest

from tests.harness.client.tampered_responses import OwnerActions, answers_of, places, tampered_at
from tests.harness.client.world import mail
from vaultr.protocol.problems import STATUS_OF


def writing(laptop):
    """Actions of an owner on items."""
    laptop.sync()
    laptop.add("login", *mail("Cloud"))
    laptop.edit("Bank", detail={"password": "newer"})
    laptop.trash("Door")
    laptop.create_vault("Work")


def keeping(laptop):
    """Actions of an owner on whole vaults."""
    mine = laptop.vaults()[0].name
    oldest = laptop.history("Mail")[-1].revision
    laptop.bring_back("Mail", oldest)
    laptop.create_vault("Work")
    laptop.move("Bank", to="Work")
    laptop.trash("Door")
    laptop.rotate(mine)
    laptop.restore("Door")
    laptop.create_vault("Old")
    laptop.delete_vault("Old", confirm="Old")
    laptop.add("login", *mail("Cloud"), vault="Work")


STORIES = {"writing": (writing, False), "new": (writing, True), "keeping": (keeping, False)}


@pytest.fixture
def story(first_world, tmp_path):
    folders = iter(range(100_000))

    def replay(acts, *, is_new):
        return OwnerActions(first_world, tmp_path / str(next(folders)), acts, is_new=is_new)

    return replay


@pytest.mark.parametrize("name", STORIES)
def test_one_changed_value_is_rejected_or_changes_nothing(story, name, count):
    acts, is_new = STORIES[name]
    chance = random.Random(5)
    answers = answers_of(story(acts, is_new=is_new))
    for _ in range(count(15, many=800)):
        number = chance.choice([n for n, (_, body) in enumerate(answers) if body is not None])
        path = chance.choice(list(places(answers[number][1])))

        one = story(acts, is_new=is_new)
        one.check(done=one.run_tampered(tampered_at(number, path, chance)))


@pytest.mark.parametrize("acts", [writing, keeping])
def test_wrong_status_is_rejected_or_changes_nothing(story, acts, count, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    chance = random.Random(6)
    answers = answers_of(story(acts, is_new=False))
    statuses = (200, 201, 202, 204, 206, 301, 304, 400, 404, 409, 500, 502, 503)
    others = [(status, body) for status in statuses for body in (None, {})]
    for slug, status in STATUS_OF.items():
        others.append((status, {"type": f"urn:vaultr:problem:{slug}", "status": status}))
    for _ in range(count(15, many=600)):
        number, other = chance.randrange(len(answers)), chance.choice(others)

        def tamper(requested, method, where, status, body, number=number, other=other):
            return other if requested == number else (status, body)

        one = story(acts, is_new=False)
        one.check(done=one.run_tampered(tamper))
