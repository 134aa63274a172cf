"""Exports of whole vaults are imported unchanged, here and by the programs they are for."""

import csv
import io
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import jsonschema
import pytest

from tests.fixtures import foreign_files
from tests.fixtures.foreign_files import HOSTILE, TOTP
from vaultr.client.exports import documents
from vaultr.client.exports.documents import Contents
from vaultr.client.exports.formats import NotExpressible
from vaultr.client.imports import formats
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.imports.reading import ImportFile
from vaultr.client.items import sealed_export
from vaultr.client.vaultr_client import Item

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SCHEMA = Path(__file__).parents[2] / "docs" / "vaultr-export.schema.json"
LOGIN = (
    "login",
    {"title": "=Mail 🔐", "username": "ann", "urls": ["https://a.example", "https://b.example"],
     "url_match": {"https://b.example": "exact"}, "folder": "Work/Servers", "favourite": True,
     "tags": ["a", "b"], "expires_on": "2031-02-03"},
    {"password": "-" + HOSTILE, "totp": TOTP, "notes": HOSTILE,
     "fields": [{"name": "pin", "kind": "hidden", "value": "1234"}],
     "history": [{"password": "older", "used_until": "2020-01-01T00:00:00Z"}],
     "passkeys": [{"credential_id": "c", "key_value": "k", "rp_id": "r"}]},
)  # fmt: skip
CARD = ("card", {"title": "Visa", "brand": "Visa"}, {"number": "4111", "exp_month": "7"})
SET = ("env_set", {"title": "shop"}, {"variables": {"A": HOSTILE, "B": ""}})
KEY = ("ssh_key", {"title": "Key", "public_key": "ssh-ed25519 A"}, {"private_key": "-----"})


def contents(*parts):
    items = [
        Item(UUID(int=number), UUID(int=99), kind, 1, 1, "active", NOW, NOW, overview, detail)
        for number, (kind, overview, detail) in enumerate(parts or (LOGIN, CARD, SET, KEY), start=1)
    ]
    return Contents([(str(UUID(int=99)), "Personal", items)])


def read(text, **options):
    data = text.encode()
    return formats.recognise(data).read(ImportFile(data, **options)).drafts


def without_source(drafts):
    return [
        (each.type, each.overview, {k: v for k, v in each.detail.items() if k != "source"})
        for each in drafts
    ]


def test_json_export_matches_its_schema_and_imports_unchanged():
    value = documents.json_value(contents(), NOW)

    jsonschema.validate(value, json.loads(SCHEMA.read_text()))
    assert without_source(read(json.dumps(value))) == [LOGIN, CARD, SET, KEY]


def test_sealed_export_opens_with_its_password_alone():
    plain = json.dumps(documents.json_value(contents(LOGIN), NOW))

    sealed = json.dumps(sealed_export.seal_file(plain.encode(), "a password of the file"))

    assert "ann" not in sealed
    assert without_source(read(sealed, ask_password=lambda: "a password of the file")) == [LOGIN]
    with pytest.raises(ImportProblems, match="password of this export is wrong"):
        read(sealed, ask_password=lambda: "another")
    costly = json.loads(sealed) | {"kdf": {"alg": "argon2id", "m": 1 << 30, "t": 3, "p": 4}}
    with pytest.raises(ImportProblems, match="damaged or hostile"):
        read(json.dumps(costly))


def test_bitwarden_export_imports_with_its_fields():
    text = documents.writer_of("bitwarden")(contents()).text

    login, card, shop, key = read(text)

    assert login.overview == {k: v for k, v in LOGIN[1].items() if k not in ("tags", "expires_on")}
    for name in ("password", "totp", "notes", "passkeys", "history"):
        assert login.detail[name] == LOGIN[2][name]
    assert (card.type, card.detail["number"]) == ("card", "4111")
    assert {"name": "A", "kind": "hidden", "value": HOSTILE} in shop.detail["fields"]
    assert key.detail["private_key"] == "-----"


def test_keepass_xml_imports_with_folders_and_fields():
    text = documents.writer_of("keepass-xml")(contents()).text

    drafts = {draft.overview["title"]: draft for draft in read(text)}

    login = drafts["=Mail 🔐"]
    assert login.overview["folder"] == "Personal/Work/Servers"
    assert login.overview["urls"] == LOGIN[1]["urls"]
    assert login.overview["tags"] == ["a", "b"]
    assert login.overview["expires_on"] == "2031-02-03"
    assert (login.detail["password"], login.detail["totp"]) == ("-" + HOSTILE, TOTP)
    assert {"name": "A", "kind": "hidden", "value": HOSTILE} in drafts["shop"].detail["fields"]


def test_keepass_xml_rejects_a_control_character_by_title():
    broken = ("note", {"title": "Odd"}, {"notes": "bell \x07"})

    with pytest.raises(NotExpressible, match='"Odd"'):
        documents.writer_of("keepass-xml")(contents(broken))


def test_csv_export_escapes_formulas_and_warns():
    written = documents.writer_of("csv")(contents())

    rows = list(csv.DictReader(io.StringIO(written.text)))
    assert rows[0]["title"] == "'=Mail 🔐"
    assert rows[0]["password"] == "'-" + HOSTILE
    assert rows[0]["notes"] == HOSTILE
    assert "number: 4111" in rows[1]["fields"]
    assert "A: " + HOSTILE in rows[2]["fields"]
    assert "like a spreadsheet formula" in written.notices[-1]


@pytest.mark.long
def test_keepassxc_imports_our_xml_and_we_read_its_database(tmp_path):
    program = shutil.which("keepassxc-cli")
    assert program, "keepassxc-cli is missing: install Debian's keepassxc-minimal (make tools)"
    (xml := tmp_path / "export.xml").write_text(documents.writer_of("keepass-xml")(contents()).text)
    database = tmp_path / "made.kdbx"

    made = subprocess.run(
        [program, "import", "--set-password", xml, database],
        input="a password\na password\n", capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert made.returncode == 0, made.stderr
    data = database.read_bytes()
    file = ImportFile(data, ask_password=lambda: "a password")
    drafts = {each.overview["title"]: each for each in formats.recognise(data).read(file).drafts}
    login = drafts["=Mail 🔐"]
    assert login.detail["password"] == "-" + HOSTILE
    assert login.detail["totp"] == TOTP
    assert login.overview["folder"] == "Personal/Work/Servers"
    assert foreign_files.HOSTILE in drafts["shop"].detail["fields"][0]["value"]
