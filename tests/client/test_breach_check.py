"""Checks for breached passwords send five digits of each hash, or nothing."""

import hashlib
import json

import httpx2
import pytest

from tests.harness.client.devices import NOBODY, Device
from tests.harness.client.local_server import Site
from tests.harness.client.owners import owner
from tests.harness.client.world import mail
from vaultr.client.errors import AnswerInvalid
from vaultr.client.sdk.breach_ranges import BreachesUnavailable

BREACHED = "a breached master password 77"


def digest(password):
    return hashlib.sha1(password.encode()).digest()


@pytest.fixture
def ranges(world, monkeypatch):
    """A server that also returns ranges; ``found`` contains the lines of the next response."""
    found = []
    handle = world.server.handle

    def answer(request):
        path = request.url.path
        if not path.startswith("/api/v1/breach/"):
            return handle(request)
        world.server.requests.append((request.method, path, request.content))
        text = "\r\n".join(found)
        return httpx2.Response(200, headers={"Content-Type": "text/plain"}, content=text.encode())

    monkeypatch.setattr(world.server, "handle", answer)
    return found


def test_only_five_digits_of_each_hash_are_sent(world, ranges):
    text = digest("hunter2").hex().upper()
    ranges[:] = [f"{'0' * 35}:0", f"{text[5:]}:42"]
    laptop = world.again()
    laptop.add("login", *mail())
    world.server.requests.clear()

    assert laptop.breach_count(digest("hunter2")) == 42
    assert laptop.breach_count(digest("hunter2")) == 42

    assert world.server.requests == [("GET", f"/api/v1/breach/{text[:5]}", b"")]


def test_absent_and_malformed_ranges_raise_different_errors(world, ranges):
    laptop = world.again()

    with pytest.raises(BreachesUnavailable):
        laptop.breach_count(digest("a"))
    ranges[:] = [f"{'A' * 35}:1"]
    assert laptop.breach_count(digest("a")) == 0
    ranges[:] = ["<html>"]
    with pytest.raises(AnswerInvalid):
        laptop.breach_count(digest("b"))


@pytest.fixture
def breach_file(tmp_path):
    lines = sorted(f"{digest(each).hex().upper()}:7" for each in (BREACHED, "hunter2", "x"))
    (file := tmp_path / "breaches.txt").write_text("\n".join(lines) + "\n")
    return str(file)


def test_breach_file_finds_passwords_and_sends_nothing(device, breach_file):
    device.done("add", "login", "--title", "Old site", "--json",
                stdin='{"detail": {"password": "hunter2"}}')  # fmt: skip

    all_items = device.types("breach-check", "--breach-file", breach_file, "--offline", "--json")
    one = device.types("breach-check", "Old site", "--breach-file", breach_file)

    assert all_items.returncode == one.returncode == 1
    assert '"count": 7' in all_items.stdout
    assert "Old site" in one.stdout
    assert "hunter2" not in one.stdout + all_items.stdout
    device.done("rm", "Old site", "--forever", "--yes")
    assert "local list" in device.fails(2, "breach-check", "--offline")
    assert device.types("breach-check", "--breach-file", breach_file).returncode == 0


def test_master_password_in_the_file_is_rejected_and_nothing_sent(tmp_path, breach_file):
    new = Device(tmp_path / "home", NOBODY, password=BREACHED)

    message = new.fails(1, "signup", "--email", "a@example.org", "--breach-file", breach_file)

    assert "list of breached passwords" in message
    assert BREACHED not in message


def test_invalid_breach_file_is_reported_before_the_password_prompt(tmp_path, device):
    (file := tmp_path / "no.txt").write_text("no hashes\n")

    new = Device(tmp_path / "home", NOBODY)
    for each, words in ((new, ("signup", "--email", "a@example.org")), (device, ("passwd",))):
        message = each.fails(1, *words, "--breach-file", str(file), password=None)
        assert "must be a sorted list of SHA-1 hashes" in message


@pytest.fixture(scope="module")
def listing_site(tmp_path_factory):
    """A server with a file of breached passwords."""
    folder = tmp_path_factory.mktemp("listing")
    lines = sorted(
        f"{digest(each).hex().upper()}:{n}" for n, each in enumerate(("hunter2", "x"), 7)
    )
    (file := folder / "breaches.txt").write_text("\r\n".join(lines) + "\r\n")
    (folder / "site").mkdir()
    site = Site(folder / "site")
    site._environ |= {"BREACH_UPSTREAM_URL": file.as_uri()}
    with site:
        yield site


def test_server_with_a_list_finds_breached_passwords(listing_site, tmp_path):
    person = owner(listing_site, tmp_path, "breach@example.org")
    for title, password in (("Old site", "hunter2"), ("New site", "correct horse battery 71")):
        document = json.dumps({"overview": {"title": title}, "detail": {"password": password}})
        person.done("add", "login", "--json", stdin=document)

    found = person.types("breach-check", "--json")
    one = person.types("breach-check", "New site")

    assert found.returncode == 1
    listed = json.loads(found.stdout)["breached"]
    assert [(each["title"], each["count"]) for each in listed] == [("Old site", 7)]
    assert one.returncode == 0, one.stderr
