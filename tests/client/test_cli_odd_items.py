"""Items that another client wrote in another form, or to trick a terminal: shown, and no crash."""

import json
from uuid import uuid4

import pytest

from tests.client.devices import PASSWORD, Device
from tests.client.fake_server import FakeServer
from tests.client.listening import Listening
from tests.client.terminal import Terminal
from vaultr import Vaultr
from vaultr.client.vaults.intents import Put

ODD = {
    "a number": ({"title": 5, "username": ["x"], "folder": 7, "tags": 1}, {"fields": 5}),
    "no title": ({}, {"variables": 4, "fields": [3]}),
    "a terminal": ({"title": "\x9b2J\u202etitle\x1b[2J", "username": "\x1b[31m"}, {"notes": "n"}),
    "a letter": ({"title": "→ Unter"}, {}),
    "half a pair": ({"title": "\ud800"}, {"password": "\ud800"}),
}
SETS = {"numbers": {"A": 3}, "half a pair": {"A": "\ud800"}, "a name": {"A=B": "x"}, "none": 7}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A device with an unlock process, whose vault another client has filled."""
    fake, home = FakeServer(), tmp_path_factory.mktemp("odd")
    listening = Listening(fake.wsgi)
    device = Device(home, listening.url).with_agent()
    try:
        device.ids = filled(device)
        device.done("unlock")
        yield device
        device.done("lock", password=None)
    finally:
        listening.close()


def filled(device):
    """Write what is odd as the owner's other client would."""
    with Vaultr(device.environ["VAULTR_URL"], home=device.home / "vaultr", agent=False) as owner:
        owner.signup(device.email, PASSWORD)
        owner.verify("token0")
        owner.login(device.email, PASSWORD)
        (report,) = owner.sync()
        ids = {name: uuid4() for name in ODD}
        puts = [Put(ids[name], "login", *parts) for name, parts in ODD.items()]
        for name, variables in SETS.items():
            puts.append(Put(uuid4(), "env_set", {"title": name}, {"variables": variables}))
        with pytest.MonkeyPatch.context() as other:
            # Another client may write any JSON, also what this one would refuse to.
            other.setattr(
                "vaultr.client.vaults.intents.encode", lambda part: json.dumps(part).encode()
            )
            for put in puts:
                owner._unlocked._writer.write(report.id, [put])
    return {name: str(item_id) for name, item_id in ids.items()}


def test_a_list_of_odd_items_is_a_list(odd):
    shown = odd.done("list", "--type", "login", password=None)

    assert all(item_id in shown for item_id in odd.ids.values())
    assert not set("\x9b\x1b\u202e") & set(shown)


def test_json_of_odd_items_holds_them_all_and_nothing_that_a_terminal_obeys(odd):
    shown = odd.done("list", "--type", "login", "--json", password=None)

    assert {item["overview"].get("title") for item in json.loads(shown)} >= {
        "\x9b2J\u202etitle\x1b[2J",
        "\ud800",
    }
    assert not set("\x9b\x1b\u202e") & set(shown)


def test_a_locale_that_lacks_a_letter_is_no_crash(odd):
    shown = odd.done("list", password=None, env={"PYTHONIOENCODING": "iso8859-1"})

    assert "\\u2192 Unter" in shown


@pytest.mark.parametrize("name", ODD)
def test_an_odd_item_is_shown(odd, name):
    odd.done("show", odd.ids[name], "--reveal", password=None)
    odd.done("show", odd.ids[name], "--reveal", "--json", password=None)
    odd.refused(1, "show", odd.ids[name], "--field", "none", password=None)


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_no_environment_can_hold_is_refused(odd, name):
    said = odd.refused(1, "run", "--env-set", name, "--", "true", password=None)

    assert "cannot be an environment" in said


def test_a_prompt_shows_what_is_there_without_obeying_it(odd):
    terminal = Terminal("edit", odd.ids["a terminal"], environ=odd.environ)

    terminal.answers("Title [", "Plain")
    terminal.answers("Username [", "")
    terminal.answers("Folder", "")
    terminal.answers("Password (empty keeps it)", "")
    terminal.answers("(empty keeps it)", "")

    assert terminal.ends() == 0, terminal.shown
    assert not set("\x9b\x1b\u202e") & set(terminal.shown)
    again = odd.told("show", odd.ids["a terminal"], password=None)
    assert again["overview"] == {"title": "Plain", "username": "\x1b[31m"}
