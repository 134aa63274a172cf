"""A `pass` store, created by pass and gpg themselves, becomes logins and notes."""

import os
import shutil
import subprocess
import tempfile

import pytest

from vaultr.client.imports import formats
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.imports.reading import ImportFile

ENTRIES = {
    "Work/Mail": "hunter2\nuser: ann\nurl: https://mail.example\n"
    "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP\npin: 1234\nfree text: of a note\nmore\n",
    "only-a-password": "p\n",
    "note": "\nfirst line is empty\n",
}


@pytest.fixture
def store(tmp_path, monkeypatch):
    for name in ("pass", "gpg", "gpgconf"):
        assert shutil.which(name), (
            f"{name} is missing: install Debian's pass and gnupg (make tools)"
        )
    # A short path, because gpg's agent creates sockets there.
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        monkeypatch.setenv("GNUPGHOME", home)
        monkeypatch.setenv("PASSWORD_STORE_DIR", str(tmp_path / "store"))
        key = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key",
               "ann@example.org", "default", "default", "never"]  # fmt: skip
        subprocess.run(key, check=True, capture_output=True, timeout=240)
        subprocess.run(["pass", "init", "ann@example.org"], check=True, capture_output=True)
        for name, text in ENTRIES.items():
            subprocess.run(["pass", "insert", "-m", name], input=text, text=True, check=True,
                           capture_output=True)  # fmt: skip
        yield tmp_path / "store"
        subprocess.run(["gpgconf", "--kill", "all"], check=True)


@pytest.mark.long
def test_store_of_pass_becomes_logins_and_notes(store):
    os.symlink("/etc", store / "elsewhere")
    os.symlink(store / "note.gpg", store / "twice.gpg")

    assert formats.recognise(b"", store).name == "pass"
    reading = formats.FORMATS["pass"].read(ImportFile(b"", path=store))

    drafts = {each.detail["source"]["id"]: each for each in reading.drafts}
    mail = drafts["Work/Mail"]
    assert mail.overview == {
        "title": "Mail", "folder": "Work", "username": "ann", "urls": ["https://mail.example"]
    }  # fmt: skip
    assert (mail.detail["password"], mail.detail["notes"]) == ("hunter2", "more")
    assert mail.detail["totp"].startswith("otpauth://")
    assert [each["name"] for each in mail.detail["fields"]] == ["pin", "free text"]
    assert drafts["only-a-password"].type == "login"
    assert drafts["note"].type == "note"
    assert set(drafts) == set(ENTRIES)


@pytest.mark.long
def test_undecryptable_entry_is_reported_by_name(store):
    (store / "broken.gpg").write_bytes(b"no OpenPGP")

    with pytest.raises(ImportProblems, match="broken: gpg cannot decrypt it"):
        formats.FORMATS["pass"].read(ImportFile(b"", path=store))


def test_folder_without_entries_is_rejected(tmp_path):
    with pytest.raises(ImportProblems, match="not a pass store"):
        formats.FORMATS["pass"].read(ImportFile(b"", path=tmp_path))
