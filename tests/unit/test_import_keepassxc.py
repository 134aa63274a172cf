"""Databases written by `keepassxc-cli` open, with every derivation and cipher that it supports."""

import shutil
import subprocess

import pytest

from tests.fixtures import make_keepass
from vaultr.client.imports import formats
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.imports.reading import ImportFile

EMPTY_GROUP = b"<Group><UUID>AAECAwQFBgcICQoLDA0ODw==</UUID><Name>R</Name></Group>"
VERSION_3 = b"<KeePassFile><Meta/><Root>" + EMPTY_GROUP + b"</Root></KeePassFile>"


def keepassxc(*words, typed):
    program = shutil.which("keepassxc-cli")
    assert program, "keepassxc-cli is missing: install Debian's keepassxc-minimal (make tools)"
    lines = "".join(f"{line}\n" for line in typed)
    done = subprocess.run(
        [program, *map(str, words)], input=lines, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def written_by_keepassxc(data, folder):
    """Return a database after keepassxc-cli has added an entry and saved it."""
    (file := folder / "data.kdbx").write_bytes(data)
    typed = (make_keepass.PASSWORD, "secret of eve")
    keepassxc("add", "-q", "-u", "eve", "-p", file, "Added", typed=typed)
    assert file.read_bytes() != data
    return file.read_bytes()


def passwords(data, **options):
    options.setdefault("ask_password", lambda: make_keepass.PASSWORD)
    drafts = formats.recognise(data).read(ImportFile(data, **options)).drafts
    return {each.overview["title"]: each.detail.get("password") for each in drafts}


@pytest.mark.parametrize("cipher", ["aes256", "chacha20"])
@pytest.mark.parametrize("kdf", ["argon2", "argon2id", "aeskdf"])
@pytest.mark.matrix(1)
def test_database_written_by_keepassxc_opens(kdf, cipher, tmp_path):
    made = make_keepass.saved(make_keepass.database(), kdf=kdf, cipher=cipher)

    data = written_by_keepassxc(made, tmp_path)

    assert data[8:12] == bytes((0, 0, 4, 0))
    found = passwords(data)
    assert (found["Mail"], found["Added"]) == ("second", "secret of eve")


@pytest.mark.long
def test_version_3_written_by_keepassxc_opens(tmp_path):
    data = written_by_keepassxc(make_keepass.version_3(VERSION_3), tmp_path)

    assert data[8:12] == bytes((1, 0, 3, 0))
    assert passwords(data) == {"Added": "secret of eve"}


@pytest.mark.long
def test_twofish_of_keepassxc_is_rejected_with_advice(tmp_path):
    made = make_keepass.saved(make_keepass.database(), kdf="aeskdf", cipher="twofish")

    data = written_by_keepassxc(made, tmp_path)

    with pytest.raises(ImportProblems, match="Change it to AES-256 or ChaCha20"):
        passwords(data)


@pytest.mark.long
def test_new_database_of_keepassxc_with_key_file_opens(tmp_path):
    file, key = tmp_path / "new.kdbx", tmp_path / "key"
    typed = ("a password", "a password")
    keepassxc("db-create", "-q", "-t", "100", "-p", "--set-key-file", key, file, typed=typed)
    options = ("add", "-q", "-k", key, "-u", "eve", "-p", file, "Added")
    keepassxc(*options, typed=("a password", "secret of eve"))

    found = passwords(
        file.read_bytes(), ask_password=lambda: "a password", key_file=key.read_bytes()
    )

    assert found == {"Added": "secret of eve"}


@pytest.mark.parametrize("form", ["xml", pytest.param("csv", marks=pytest.mark.long)])
def test_export_by_keepassxc_is_read_with_its_values(form, tmp_path):
    made = make_keepass.saved(make_keepass.database(), kdf="aeskdf")
    (file := tmp_path / "data.kdbx").write_bytes(made)

    exported = keepassxc("export", "-q", "-f", form, file, typed=(make_keepass.PASSWORD,)).encode()

    drafts = formats.recognise(exported).read(ImportFile(exported)).drafts
    mail = next(draft for draft in drafts if draft.overview["title"] == "Mail")
    assert (mail.overview["username"], mail.overview["folder"]) == ("ann", "Work/Servers")
    assert (mail.detail["password"], mail.detail["notes"]) == ("second", make_keepass.HOSTILE)
    assert "JBSWY3DPEHPK3PXP" in mail.detail["totp"]
