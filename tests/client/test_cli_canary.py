"""`vaultr canary` with a real server: plant, open, search as operator, remove."""

import json
import subprocess

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.local_server import BIN, ROOT
from tests.harness.client.mailbox import link, mailed
from vaultr.client.canary.content import new_content
from vaultr.client.items.schemas import SCHEMAS
from vaultr.protocol.canary import read_markers

EMAIL = "canary@example.org"
NOT_SIGNED_UP = "The file of --out does not exist. First sign up: omit TOKEN."


@pytest.fixture(scope="module")
def operator(site, tmp_path_factory):
    """A device without an account, which plants the canary."""
    device = Device(tmp_path_factory.mktemp("operator") / "home", site.url)
    device.file = device.home / "canary.json"
    device.temporary = device.home / "tmp"
    device.temporary.mkdir()
    device.environ["TMPDIR"] = str(device.temporary)
    return device


@pytest.fixture(scope="module")
def signed_up(operator, site):
    words = ("canary", "plant", "--email", EMAIL, "--out", str(operator.file))
    begun = operator.run_json(*words, password=None)
    return begun, mailed(site, EMAIL, link("/verify-email"))[-1]


@pytest.fixture(scope="module")
def planted(operator, signed_up):
    words = ("canary", "plant", signed_up[1], "--out", str(operator.file))
    return operator.run_json(*words, password=None)


def searched(site, file, *words):
    """Run `flask canary search` on the server's machine."""
    command = [BIN / "flask", "canary", "search", file, "--json", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=site._environ, timeout=120
    )
    return done.returncode, json.loads(done.stdout)


def test_content_has_every_type_and_no_marker_twice():
    content = new_content()

    assert {one.type for one in content.drafts} == set(SCHEMAS)
    assert len({one.value for one in content.markers}) == len(content.markers) > 30
    assert not {one.value for one in content.markers} & {one.value for one in new_content().markers}


def test_plant_without_token_waits_for_the_email(operator, signed_up):
    begun, _ = signed_up

    assert begun["planted"] is False
    assert len(begun["code"]) == 8
    assert operator.file.stat().st_mode & 0o777 == 0o600
    assert not (operator.home / "vaultr").exists()


def test_plant_before_the_email_is_confirmed_names_the_next_step(operator, site, tmp_path):
    words = ("canary", "plant", "--out", str(tmp_path / "other.json"), "--email", "b@example.org")
    operator.done(*words, password=None)

    says = operator.fails(2, *words, password=None)

    assert "is not confirmed. Run: vaultr canary plant TOKEN" in says


def test_planted_markers_open_and_the_server_has_none(operator, site, planted):
    assert planted["machine"] is True

    opened = operator.run_json("canary", "open", str(operator.file), password=None)
    code, answer = searched(site, operator.file, "--logs", str(site._log))

    assert opened == {"opened": planted["markers"], "machine": True}
    assert answer["markers"] == planted["markers"] > 40
    assert code == 0, answer
    by_sink = {one["sink"]: one for one in answer["sinks"]}
    assert all(by_sink[name]["bytes"] > 1000 for name in ("database", "dump", "logs", "emails"))


def test_each_marker_in_a_log_is_found(operator, site, planted, tmp_path):
    markers = read_markers(operator.file.read_text())
    raw = [one.value.encode() if isinstance(one.value, str) else one.value for one in markers]
    log = tmp_path / "leaking.log"
    log.write_bytes(b"\n".join(raw))

    code, answer = searched(site, operator.file, "--logs", str(log))

    assert code == 1
    [found] = [one["found"] for one in answer["sinks"] if one["sink"] == "logs"]
    assert found == [one.name for one in markers]


def test_open_fails_with_a_missing_marker(operator, planted, tmp_path):
    content = json.loads(operator.file.read_text())
    content["markers"].append({"name": "login.lost", "text": "vk-not-in-any-item"})
    path = tmp_path / "canary.json"
    path.write_text(json.dumps(content))

    says = operator.fails(1, "canary", "open", str(path), password=None)

    assert "These markers cannot be read as the owner: login.lost." in says


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("plant", "TOKEN", "--out", "{folder}/new.json"), 2, NOT_SIGNED_UP),
        (("plant", "--out", "{planted}"), 2, "planted already"),
        (("open", "{text}"), 1, "not a file of `vaultr canary plant`"),
    ],
)
def test_unusable_file_is_rejected(operator, planted, tmp_path, words, code, says):
    text = tmp_path / "text.json"
    text.write_text("no canary")
    names = {"folder": tmp_path, "planted": operator.file, "text": text}

    printed = operator.fails(
        code, "canary", *(word.format(**names) for word in words), password=None
    )

    assert says in printed


def test_remove_deletes_the_account_and_keeps_the_file(operator, site, planted):
    before = read_markers(operator.file.read_text())

    operator.done("canary", "remove", str(operator.file), password=None)

    assert read_markers(operator.file.read_text()) == before
    assert "nothing to open" in operator.fails(
        2, "canary", "open", str(operator.file), password=None
    )
    assert "removed already" in operator.fails(
        2, "canary", "remove", str(operator.file), password=None
    )
    assert list(operator.temporary.iterdir()) == []
