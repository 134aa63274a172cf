"""Commands about password, recovery and emergency kit, with a real server."""

import json
import re
import sqlite3
import stat
from contextlib import closing

import pytest

from tests.harness.client.devices import NOBODY, Device
from tests.harness.client.mailbox import BARE, mailed
from tests.harness.client.owners import owner, second

NEW = "another master password"


def login_item(title):
    return json.dumps({"overview": {"title": title}, "detail": {"password": f"of {title}"}})


def titles(device, **more):
    return sorted(item["overview"]["title"] for item in device.run_json("list", **more))


def with_item(device, title="Mail"):
    device.done("add", "login", "--json", stdin=login_item(title))
    return device


def changes(device, *words):
    """Change the password of a device to NEW, and return the output."""
    answer = device.run_json("passwd", *words, also={"--new-password-fd": NEW})
    device.password = NEW
    return answer


def test_changed_password_opens_here_and_after_login_elsewhere(site, tmp_path):
    first = with_item(owner(site, tmp_path, "pw1@example.org"))
    other = second(site, tmp_path, first)

    assert changes(first, "--nobody-knows") == {
        "changed": True,
        "new_account_key": False,
        "secret_key": None,
    }

    assert titles(first) == ["Mail"]
    assert "wrong" in first.fails(1, "list", password=other.password)
    assert "vaultr login" in other.fails(1, "list")
    assert "--changed" in other.fails(5, "login", password=NEW)
    other.done("login", "--changed", password=NEW)
    other.password = NEW
    assert titles(other) == ["Mail"]


def test_passwd_others_know_replaces_account_and_vault_keys(site, tmp_path):
    first = with_item(owner(site, tmp_path, "pw2@example.org"))
    other = second(site, tmp_path, first)
    first.done("recovery-key", "create")

    answer = changes(first, "--others-know", "--new-secret-key")

    assert answer["new_account_key"]
    assert answer["secret_key"] != first.made["secret_key"]
    with closing(sqlite3.connect(site.database)) as work:
        query = (
            "SELECT v.generation, v.rotating, r.account_id FROM vaults v"
            " LEFT JOIN recovery_keys r ON r.account_id = v.account_id WHERE v.account_id = ?"
        )
        [(generation, rotating, recovery)] = work.execute(
            query, [first.made["account_id"].replace("-", "")]
        ).fetchall()
    assert (generation, bool(rotating), recovery) == (2, False, None)
    other.done("login", "--changed", password=NEW, secret_key=answer["secret_key"])
    other.password = NEW
    assert other.run_json("show", "Mail", "--reveal")["detail"] == {"password": "of Mail"}
    with_item(other, "Bank")
    assert titles(first) == ["Bank", "Mail"]


def test_agent_holds_new_account_key_after_passwd(site, tmp_path):
    first = with_item(owner(site, tmp_path, "pw3@example.org")).with_agent()
    first.done("unlock")
    try:
        changes(first, "--others-know")

        assert titles(first, password=None) == ["Mail"]
    finally:
        first.done("lock", password=None)


def test_passwd_without_terminal_requires_explicit_choice(site, account):
    message = account.fails(2, "passwd", also={"--new-password-fd": NEW})

    assert "--others-know" in message


def test_lost_password_is_recovered_on_new_device(site, tmp_path):
    first = with_item(owner(site, tmp_path, "lost@example.org"))
    paper = first.run_json("recovery-key", "create")["recovery_key"]
    new = Device(tmp_path / "new", site.url, email=first.email, password=NEW)

    new.done("recover", "--email", first.email, password=None)
    token = mailed(site, first.email, BARE)[-1]
    arguments = ("recover", token, "--email", first.email)
    key = {"--recovery-key-fd": paper}
    misread = paper[:-1] + ("B" if paper.endswith("A") else "A")
    assert "checksum does not match" in new.fails(
        1, *arguments, also={"--recovery-key-fd": misread}
    )
    waiting = new.run_json(*arguments, also=key)
    assert waiting["ready"] is False
    assert "24 h" in new.done(*arguments, also=key) or "23 h" in new.done(*arguments, also=key)
    assert "started to recover this account" in first.types("sync").stderr
    pass_time(site, hours=25)
    completed = new.types("recover", "--json", also=key)
    answer = json.loads(completed.stdout)

    assert "Rotated keys: 1 vault." in completed.stderr
    assert answer["ready"]
    assert answer["signed_in"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", answer["secret_key"])
    assert new.run_json("show", "Mail", "--reveal")["detail"] == {"password": "of Mail"}
    assert "vaultr login" in first.fails(1, "sync")
    first.done("login", "--changed", password=NEW, secret_key=answer["secret_key"])
    assert titles(first, password=NEW) == ["Mail"]
    assert "token" in new.fails(1, *arguments, also=key).lower()


def pass_time(site, *, hours):
    """Make hours pass for recoveries, in the server's database."""
    with closing(sqlite3.connect(site.database)) as work, work:
        work.execute(
            "UPDATE recoveries SET started_at = datetime(started_at, ?)", [f"-{hours} hours"]
        )


def test_recovery_is_cancelled_from_a_logged_in_device(site, tmp_path):
    first = owner(site, tmp_path, "thief@example.org")
    paper = first.run_json("recovery-key", "create")["recovery_key"]
    thief = Device(tmp_path / "thief", site.url, email=first.email)
    thief.done("recover", "--email", first.email, password=None)
    token = mailed(site, first.email, BARE)[-1]
    arguments = ("recover", token, "--email", first.email)
    thief.done(*arguments, also={"--recovery-key-fd": paper})

    assert first.run_json("recover", "--cancel") == {
        "cancelled": True,
        "started": True,
        "recovery_key_deleted": True,
    }

    thief.fails(1, *arguments, also={"--recovery-key-fd": paper})
    assert "started to recover" not in first.types("sync").stderr


def test_running_recovery_is_reported_without_its_key(site, tmp_path):
    first = owner(site, tmp_path, "waits-for-it@example.org")
    paper = first.run_json("recovery-key", "create")["recovery_key"]
    new = Device(tmp_path / "new", site.url, email=first.email)
    new.done("recover", "--email", first.email, password=None)
    token = mailed(site, first.email, BARE)[-1]
    new.done("recover", token, "--email", first.email, also={"--recovery-key-fd": paper})

    assert "The wait ends at" in new.done("recover", password=None)
    assert "The recovery that had started is cancelled." in new.done(
        "recover", "--cancel", password=None
    )


def test_cancelling_an_emailed_token_keeps_the_recovery_key(site, tmp_path):
    first = owner(site, tmp_path, "only-mailed@example.org")
    first.done("recovery-key", "create")
    first.done("recover", "--email", first.email, password=None)

    result = first.done("recover", "--cancel")

    assert result == (
        "The emailed token no longer works; no recovery had started."
        " Your recovery key stays valid.\n"
    )
    assert "No recovery is running" in first.fails(1, "recover", "--cancel")
    assert "Nothing was cancelled." in first.fails(1, "recover", "--cancel", "x" * 43)


def test_unreachable_server_is_reported_before_the_recovery_key(tmp_path):
    device = Device(tmp_path / "home", NOBODY)

    message = device.fails(4, "recover", "A" * 43, "--email", device.email, password=None)

    assert "Cannot ask for the recovery key" not in message


def test_incomplete_token_is_rejected_before_the_recovery_key(tmp_path):
    device = Device(tmp_path / "home", NOBODY)

    message = device.fails(2, "recover", "A" * 42, "--email", device.email, password=None)

    assert "Copy the whole token." in message


def test_recovery_key_can_be_removed(account):
    account.done("recovery-key", "create")

    assert account.run_json("recovery-key", "remove") == {"removed": True}

    account.fails(1, "recovery-key", "remove")


@pytest.fixture(scope="module")
def kit_file(account, tmp_path_factory):
    file = tmp_path_factory.mktemp("paper") / "kit.html"
    account.done("kit", str(file))
    return file


def kit_text(file):
    return re.search(r"<pre>\n(.*?)\n</pre>", file.read_text(), re.DOTALL)[1]


def test_kit_page_is_private_and_loads_nothing(account, kit_file):
    page = kit_file.read_text()

    assert stat.S_IMODE(kit_file.stat().st_mode) == 0o600
    assert account.made["secret_key"] in page
    assert account.email in page
    assert "<svg" in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    assert account.password not in page


def test_existing_kit_is_overwritten_only_with_force(account, kit_file):
    before = kit_file.read_text()

    assert "--force" in account.fails(1, "kit", str(kit_file))
    assert kit_file.read_text() == before
    assert account.run_json("kit", str(kit_file), "--force") == {"file": str(kit_file)}


def test_kit_text_replaces_secret_key_and_server(account, kit_file, tmp_path):
    device = Device(tmp_path / "home", "", email=account.email)

    device.done("login", "--email", account.email, secret_key=kit_text(kit_file))

    assert "Personal" in [vault["name"] for vault in device.run_json("sync")]


@pytest.mark.parametrize("spoil", [lambda text: text.replace("key=", "key=A", 1), lambda t: t[:-1]])
def test_misread_kit_is_reported_as_kit_error(account, kit_file, tmp_path, spoil):
    device = Device(tmp_path / "home", "", email=account.email)
    text = spoil(kit_text(kit_file))

    message = device.fails(1, "login", "--email", account.email, secret_key=text)

    assert "emergency kit" in message
    assert account.made["secret_key"] not in message


def test_kit_is_rejected_for_another_server(account, kit_file, tmp_path):
    device = Device(tmp_path / "home", "http://127.0.0.1:9", email=account.email)

    message = device.fails(5, "login", "--email", account.email, secret_key=kit_text(kit_file))

    assert "Nothing was sent" in message
