"""A device folder and a database of the last version open in this one."""

import json
import subprocess
import sys

import flask_migrate
import httpx2
import pytest

from tests.harness.app_fixtures import KEYS, environ_for
from tests.harness.git_history import UNSHALLOW, git
from tests.harness.gunicorn_server import ROOT
from vaultr import Vaultr
from vaultr.app import create_app
from vaultr.client.errors import IntegrityError
from vaultr.client.vaultr_client import WrongPassword
from vaultr.settings.model import Settings

# The last commit of version 0.1.0 before the modules were moved.
LAST_VERSION = "f6b4534"
PASSWORD = "a master password for tests"
URL = "http://localhost"
# Run by the old code in its folder: an account with every kind of file that a device can have.
OLD_CODE = """
import json, pathlib, sys
import flask_migrate, httpx2
from tests import letters
from vaultr import Vaultr, create_app
from vaultr.settings import Settings

job = json.load(sys.stdin)
app = create_app(Settings.from_environ(job["environ"]))
with app.app_context():
    flask_migrate.upgrade()
carrier = httpx2.WSGITransport(app)
home = pathlib.Path(job["home"])
with Vaultr(job["url"], home=home, transport=carrier, agent=False) as vaultr:
    made = vaultr.signup("ann@example.org", job["password"])
    vaultr.verify(letters.tokens(app)[-1])
    vaultr.login("ann@example.org", job["password"])
    vaultr.add("login", {"title": "Mail", "username": "ann"}, {"password": "first"})
    vaultr.edit("Mail", detail={"password": "second"})
    vaultr.add("note", {"title": "Old"}, {"notes": "trashed"})
    vaultr.trash("Old")
    vaultr.create_vault("Work")
    vaultr.add("env_set", {"title": "shop"}, {"variables": {"A": "1"}}, vault="Work")
    vaultr.step_up(job["password"])
    vaultr.change_password(
        job["password"], job["password"] + " 2", new_key=True, new_secret_key=True
    )
    print(json.dumps({"kit": vaultr.kit().text}))
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The environment of a server and the folder of a device, both written by the old code."""
    folder = tmp_path_factory.mktemp("previous")
    place = folder / "old-code"
    code, output = git("worktree", "add", "--detach", str(place), LAST_VERSION)
    assert code == 0, f"{UNSHALLOW} {output}"
    (folder / "server").mkdir()
    environ = {**environ_for(folder / "server"), **KEYS}
    home = folder / "device"
    job = {"environ": environ, "url": URL, "home": str(home), "password": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-c", OLD_CODE],
        cwd=place,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=600,
    )
    git("worktree", "remove", "--force", str(place))
    assert done.returncode == 0, done.stderr
    return environ, home, json.loads(done.stdout.splitlines()[-1])["kit"]


@pytest.fixture(scope="module")
def app(old):
    app = create_app(Settings.from_environ(old[0]))
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    return app


def device(app, home):
    return Vaultr(URL, home=home, transport=httpx2.WSGITransport(app), agent=False)


def test_folder_and_database_of_previous_version_can_be_opened(app, old):
    _, home, kit = old
    with device(app, home) as vaultr:
        with pytest.raises(WrongPassword):
            vaultr.unlock(PASSWORD)
        vaultr.unlock(f"{PASSWORD} 2")

        offline = {item.title for item in vaultr.items(offline=True)}
        vaultr.sync()
        online = {item.title for item in vaultr.items(state="any")}
        added = vaultr.add("note", {"title": "New"}, {"notes": "by the new version"})

        assert offline == {"Mail", "shop"}
        assert online == {"Mail", "Old", "shop"}
        assert vaultr.item("Mail").detail == {"password": "second"}
        assert vaultr.version("Mail", 1).detail == {"password": "first"}
        assert vaultr.item("shop", vault="Work").detail == {"variables": {"A": "1"}}
        assert vaultr.restore("Old").state == "active"
        assert vaultr.item(str(added.id)).detail == {"notes": "by the new version"}
        assert vaultr.kit().text == kit
        assert {info.name for info in vaultr.vaults()} == {"Personal", "Work"}


def test_keys_of_previous_version_can_be_rotated(app, old):
    with device(app, old[1]) as vaultr:
        vaultr.unlock(f"{PASSWORD} 2")
        vaultr.step_up(f"{PASSWORD} 2")

        rotated = vaultr.rotate()

        assert {each.generation for each in rotated} == {2}
        assert vaultr.item("Mail").detail == {"password": "second"}


def test_altered_folder_of_previous_version_is_rejected(app, old):
    home = old[1]
    file = home / "account.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:-2] + b" }")

    with pytest.raises(IntegrityError, match=r"account\.json"):
        device(app, home).unlock(f"{PASSWORD} 2")

    file.write_bytes(whole)
