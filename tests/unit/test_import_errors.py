import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.fixtures import make_bitwarden
from tests.fixtures.small_exports import entry, plain, problems, read
from vaultr.client.imports import bitwarden
from vaultr.client.imports.formats import recognise
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.imports.reading import ImportFile

FIXTURES = Path(__file__).parent.parent / "fixtures"
PROTECTED = (FIXTURES / "bitwarden-protected.json").read_bytes()


def test_account_restricted_export_is_rejected_with_advice():
    sealed = {"type": 1, "name": "2.YQ==|YQ==|YQ==", "login": {"password": "2.Yg==|Yg==|Yg=="}}
    document = {"encrypted": True, "encKeyValidation_DO_NOT_EDIT": "2.x", "items": [sealed]}

    [problem] = problems(document)

    assert "account restricted" in problem
    assert "password protected" in problem
    assert "without any secret" not in problem


def test_empty_export_of_newer_bitwarden_account_is_reported():
    document = {"encrypted": True, "folders": [], "items": [{"type": 1, "name": "", "login": {}}]}

    [problem] = problems(document)

    assert "nothing can be restored" in problem


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"type": "1"}, "type must be a whole number"),
        ({"type": True}, "type must be a whole number"),
        ({"type": None}, "type is missing"),
        ({"name": ["hunter2"]}, "name must be text"),
        ({"login": None}, "login must be an object"),
        ({"login": "hunter2"}, "login must be an object"),
        ({"login": {"password": ["hunter2"]}}, "login.password must be text"),
        ({"login": {"uris": "hunter2"}}, "login.uris must be a list"),
        ({"login": {"uris": [{"uri": 1.5}]}}, "login.uris[1].uri must be text"),
        (
            {"login": {"uris": [{"uri": "a"}, {"uri": "b", "match": 6}]}},
            "login.uris[2].match is not a number that this version of Vaultr knows",
        ),
        ({"fields": [{"name": "hunter2", "type": 8}]}, "fields[1].type is not a number"),
        ({"passwordHistory": {}}, "passwordHistory must be a list"),
        ({"folderId": "hunter2"}, "folderId names no folder of this file"),
        ({"favorite": "hunter2"}, "favorite must be true or false"),
        ({"notes": "x" * 70_000}, "item is larger than 64 KiB when encrypted"),
        ({"notes": "\ud800hunter2"}, "detail.notes is not JSON in Unicode"),
    ],
)
def test_invalid_entry_is_reported_by_number_and_field_without_value(members, expected):
    found = problems(plain(entry(), entry(**members)))

    assert len(found) == 1
    assert found[0].startswith(f"entry 2: {expected}")
    assert "hunter2" not in found[0]


def test_all_invalid_entries_are_listed_and_nothing_is_imported():
    document = plain(entry(type="8"), entry(), "hunter2", entry(login={"totp": {}}))

    assert problems(document) == [
        "entry 1: type must be a whole number",
        "entry 3: must be an object",
        "entry 4: login.totp must be text",
    ]


def test_invalid_folder_is_listed():
    assert problems(plain(entry(), folders=[{"id": "f", "name": {}}, 7])) == [
        "folder 1: name must be text",
        "folder 2: must be an object",
    ]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_rejected_with_its_line(share):
    data = make_bitwarden.as_text(make_bitwarden.export(60)).encode()

    [problem] = problems(data[: int(len(data) * share)])

    assert "ends in the middle (line " in problem or "is not UTF-8" in problem


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'\xef\xbb\xbf\n {"encrypted": false}', "bitwarden"),
        (b"# production\n\nexport A=1\n", "dotenv"),
        (b"A =1", "dotenv"),
    ],
)
def test_file_is_recognised_by_content(data, name):
    assert recognise(data).name == name


def test_unknown_text_is_rejected_with_the_known_formats():
    with pytest.raises(ImportProblems, match=r"not a file that Vaultr recognises.*1PUX"):
        recognise(b"hello, this is a letter\n")


def test_unknown_type_becomes_a_note_with_its_fields():
    [draft] = read(plain(entry(type=9, login={"secret": "s", "n": 1}, name="Odd")))

    assert draft.type == "note"
    assert draft.detail["fields"] == [{"name": "secret", "kind": "hidden", "value": "s"}]


def test_incomplete_passkey_is_left_out_and_reported():
    passkey = {"credentialId": "c", "rpId": "r"}
    document = json.dumps(plain(entry(login={"fido2Credentials": [passkey]}))).encode()

    reading = bitwarden.read_file(ImportFile(document))

    assert "passkeys" not in reading.drafts[0].detail
    [left] = reading.report.left_out
    assert (left.entry, left.what) == ("Mail", "passkey")


def packed(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", ".")), content)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (packed(export_data="{}"), "not a Bitwarden export"),
        (packed(data_json="{}"), "not an export of Bitwarden"),
        (packed(other_txt="x"), "zip archive"),
        (packed(data_json="{}")[:40], "cut off"),
        (b"\x03\xd9\xa2\x9aKDBX", "KeePass"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b'{"encrypted": false, "items": [{"name": "\xfc"}]}', "Line 1 is not UTF-8"),
        (b"<?xml version='1.0'?><KeePassFile/>", "not JSON"),
        (b"A=1\nB=2\n", "not JSON"),
        (b"{'encrypted': false}", "Line 1, column 2 is not JSON"),
        (b'{"encrypted": false, "items": []} x', "Line 1, column 35 is not JSON"),
        (b'{"encrypted": false, "items": [], "items": []}', "a name is duplicated"),
        (b'{"encrypted": false, "items": [NaN]}', "NaN"),
        (b"[" * 100_000, "nested too deep"),
        (b'[{"name": "a"}]', "not a JSON object"),
        (b'{"accounts": []}', "not an export of Bitwarden"),
        (b'{"encrypted": false, "items": {}}', "not an export of Bitwarden"),
        (b'{"encrypted": false, "folders": [], "items": []}', "no entries"),
    ],
)
def test_file_of_another_format_is_rejected_with_advice(data, expected):
    [problem] = problems(data)

    assert expected in problem
