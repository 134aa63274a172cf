"""Archives on the command line: store from a real server, open offline, import elsewhere."""

import json
import stat

import pytest

from tests.harness.client.devices import NOBODY, Device


@pytest.fixture(scope="module")
def archive(device, tmp_path_factory):
    """The archive of an account with an edited item."""
    device.done("vaults", "add", "Archived")
    for text in ("one", "two"):
        words = ("add", "login") if text == "one" else ("edit", "kept")
        given = {"overview": {"title": "kept"}, "detail": {"password": text}}
        device.done(*words, "--vault", "Archived", "--json", stdin=json.dumps(given))
    file = tmp_path_factory.mktemp("archive") / "archive.json"
    device.done("export", "--all", "-o", str(file))
    yield file
    # Other modules share the account, and count its vaults.
    device.done("vaults", "rm", "Archived", "--confirm", "Archived")


def test_archive_is_private_and_opens_offline(account, archive, device, tmp_path):
    out = tmp_path / "items.json"
    words = ("export", "--archive", str(archive), "--format", "json", "--vault", "Archived")
    away = Device(tmp_path / "away", NOBODY)

    away.done(*words, "-o", str(out), secret_key=account.made["secret_key"])

    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert "kept" not in archive.read_text()
    (item,) = json.loads(out.read_text())["vaults"][0]["items"]
    assert (item["overview"]["title"], item["detail"]["password"]) == ("kept", "two")
    message = away.fails(
        1, *words, "-o", str(tmp_path / "x"), password="wrong password 1 2 3",
        secret_key=account.made["secret_key"],
    )  # fmt: skip
    assert "does not open this archive" in message
    assert "already exists" in device.fails(1, "export", "--all", "-o", str(archive))


@pytest.mark.parametrize("words", [("--dry-run",), ("--yes",), ("--title", "x"), ("--map", "a=b")])
def test_options_of_other_formats_are_rejected_with_archive(device, archive, words):
    message = device.fails(2, "import", str(archive), *words, password=None)

    assert "With an archive, use only --vault, --versions, --update" in message


def test_altered_archive_imports_nothing(account, archive, site, tmp_path):
    text = archive.read_text()
    at = text.index('"detail":"') + 40
    (altered := tmp_path / "altered.json").write_text(text[:at] + ("A" * 4) + text[at + 4 :])
    also = {"--file-password-fd": account.password}

    message = account.fails(
        1, "import", str(altered), secret_key=account.made["secret_key"], also=also
    )

    assert "of the archive" in message
    assert "Nothing was imported" in message


def test_archive_goes_into_another_account_with_versions(account, archive, site, tmp_path):
    other = Device(
        tmp_path / "other", site.url, email="zoe@example.org", password="a password of zoe 42"
    )
    other.run_json("signup", "--email", other.email)
    other.done("verify", site.token(of=other.email), password=None)
    other.done("login")
    also = {"--file-password-fd": account.password}
    words = ("import", str(archive), "--versions")

    done = other.run_json(*words, secret_key=account.made["secret_key"], also=also)

    assert {"vault": "Archived", "imported": 1}.items() <= next(
        each for each in done["vaults"] if each["vault"] == "Archived"
    ).items()
    kept = other.run_json("show", "kept", "--vault", "Archived", "--reveal")
    assert kept["detail"]["password"] == "two"
    assert len(other.run_json("history", "kept", "--vault", "Archived")) == 2
