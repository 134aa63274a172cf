"""One file of every format becomes the expected items, and nothing is lost silently."""

import contextlib
import io
import json
import random
import zipfile

import pytest

from tests.fixtures import foreign_files, make_keepass
from tests.fixtures.foreign_files import HOSTILE, TOTP, table, zipped
from tests.fixtures.make_bitwarden import texts_in
from vaultr.client.imports import formats
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.imports.reading import ImportFile
from vaultr.client.items.schemas import check

# Two formats need columns or a folder, and `vaultr` has separate tests.
NAMES = sorted(formats.FORMATS.keys() - {"csv", "pass", "vaultr"})


def read(data, name=None, **options):
    options.setdefault("ask_password", lambda: make_keepass.PASSWORD)
    found = formats.FORMATS[name] if name else formats.recognise(data)
    return found.read(ImportFile(data, **options))


def rejected(data, name=None, **options):
    with pytest.raises(ImportProblems) as problems:
        read(data, name, **options)
    return str(problems.value)


@pytest.mark.parametrize("name", NAMES)
def test_file_is_recognised_and_its_items_are_valid(name):
    assert formats.recognise(foreign_files.all_files()[name]).name == name
    reading = read(foreign_files.all_files()[name])

    for draft in reading.drafts:
        check(draft.type, draft.overview, draft.detail)
        assert draft.overview["title"]
    assert sum(reading.report.kinds.values()) == len(reading.drafts)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"keepass", "keepass-xml", "dotenv"}))
def test_hostile_values_are_stored_and_hidden_from_overviews(name):
    reading = read(foreign_files.all_files()[name])

    stored = texts_in([[draft.overview, draft.detail] for draft in reading.drafts])
    shown = texts_in([draft.overview for draft in reading.drafts])
    if name != "kubernetes":
        assert any(HOSTILE in text for text in stored)
    assert not any(HOSTILE in text for text in shown)


def test_onepassword_login_keeps_its_fields():
    reading = read(foreign_files.all_files()["1password"])
    mail, card, key, odd, document = reading.drafts

    assert mail.overview == {
        "title": "Mail",
        "folder": "Private",
        "tags": ["work"],
        "favourite": True,
        "urls": ["https://mail.example", "https://b.example"],
        "url_match": {"https://b.example": "never"},
        "username": "ann",
    }
    assert mail.detail["password"] == HOSTILE
    assert mail.detail["totp"] == TOTP
    assert mail.detail["history"] == [{"password": "older", "used_until": "2022-04-15T05:20:00Z"}]
    fields = {each["name"]: (each["kind"], each["value"]) for each in mail.detail["fields"]}
    assert fields["More: pin"] == ("hidden", "1234")
    assert fields["More: mail"] == ("text", "a@example.org")
    assert fields["keep"] == ("text", "true")
    assert mail.detail["source"]["created_at"] == "2020-09-13T12:26:40Z"
    assert (card.type, card.detail["exp_month"], card.detail["exp_year"]) == ("card", "7", "2031")
    assert (key.type, key.overview["archived"]) == ("ssh_key", True)
    assert (odd.type, odd.detail["fields"][0]["value"]) == ("note", "b")
    assert document.type == "note"
    left = {(each.entry, each.what) for each in reading.report.left_out}
    assert left == {("Mail", "attachment scan.pdf"), ("Mail", "Login"),
                    ("Deed", "attachment deed.pdf")}  # fmt: skip


@pytest.mark.parametrize(
    ("members", "faults"),
    [
        ({"details": None}, ["details must be an object"]),
        ({"uuid": ["hunter2"]}, ["uuid must be text"]),
        ({"createdAt": "hunter2"}, ["createdAt must be a number"]),
        ({"overview": {"tags": [7]}}, ["overview.tags must be a list of texts"]),
        ({"overview": {"urls": ["hunter2", {"url": {}}]}},
         ["overview.urls[1] must be an object", "overview.urls[2].url must be text"]),
        ({"details": {"sections": [{}, {"fields": [{"title": "a", "value": "hunter2"}]}]}},
         ["details.sections[2].fields[1].value must be an object"]),
    ],
)  # fmt: skip
def test_invalid_onepassword_member_is_reported_by_its_path(members, faults):
    item = foreign_files.onepassword_item(**members)
    document = foreign_files.onepassword_document(foreign_files.onepassword_item(), item)

    message = rejected(json.dumps(document).encode(), "1password")

    assert [fault for fault in faults if f"entry 2: {fault}" not in message] == []
    assert "hunter2" not in message


def test_proton_pass_keeps_vault_passkey_and_custom_fields():
    reading = read(foreign_files.all_files()["proton-pass"])
    mail, card, wifi = reading.drafts

    assert mail.overview["username"] == "ann"
    assert mail.overview["folder"] == "Personal"
    assert mail.detail["passkeys"][0]["rp_id"] == "mail.example"
    assert {"name": "itemEmail", "kind": "text", "value": "ann@example.org"} in (
        mail.detail["fields"]
    )
    assert (card.detail["exp_year"], card.detail["code"]) == ("2031", "123")
    names = {each["name"] for each in wifi.detail["fields"]}
    assert names == {"Router: admin", "ssid", "password", "security"}
    left = sorted((each.entry, each.what) for each in reading.report.left_out)
    assert left == [("Mail", "attachment scan.pdf"), ("Mail", "passkey"), ("Visa", "creditCard")]


def test_lastpass_notes_become_cards_and_notes():
    mail, note, card, server = read(foreign_files.all_files()["lastpass"]).drafts

    assert mail.overview["folder"] == "Work/Servers"
    assert mail.overview["favourite"] is True
    assert note.detail["notes"] == "plain note"
    assert (card.type, card.detail["number"], card.detail["code"]) == ("card", "4111", "123")
    assert card.detail["notes"] == "two\nlines"
    assert [each["name"] for each in server.detail["fields"]] == ["Hostname", "Password"]


def test_firefox_keeps_id_and_dates():
    [mail] = read(foreign_files.all_files()["firefox"]).drafts

    source = mail.detail["source"]
    assert source["id"] == "{g}"
    assert source["created_at"] == "2020-09-13T12:26:40Z"


def test_secrets_manager_makes_sets_by_project_and_single_keys():
    shop, tls, lone = read(foreign_files.all_files()["bitwarden-secrets"]).drafts

    assert shop.detail["variables"] == {"DB_PASSWORD": HOSTILE}
    assert shop.detail["notes"] == "DB_PASSWORD: of the database"
    assert (tls.type, tls.overview["folder"]) == ("api_key", "shop")
    assert lone.detail["secret"] == "l"


def test_kubernetes_secret_reports_binary_and_other_kinds():
    reading = read(foreign_files.all_files()["kubernetes"])

    [shop] = reading.drafts
    assert shop.detail["variables"] == {"DB_PASSWORD": "hunter2", "PLAIN": "yes"}
    assert shop.detail["fields"] == [{"name": "tls.crt", "kind": "hidden", "value": "---"}]
    assert {each.what for each in reading.report.left_out} == {"binary", "ConfigMap"}


@pytest.mark.parametrize(
    ("dialect", "encode"),
    [
        ({"delimiter": ";", "lineterminator": "\r\n"}, "utf-8-sig"),
        ({"delimiter": "\t"}, "utf-8"),
        ({"quoting": 1, "lineterminator": "\n"}, "utf-8"),
    ],
)
def test_spreadsheet_csv_with_any_delimiter_and_quoting_is_read(dialect, encode):
    data = table(["name", "url", "username", "password"], ["M;a,\ti", "u", "a", HOSTILE], **dialect)

    [draft] = read(data.decode().encode(encode)).drafts

    assert draft.overview["title"] == "M;a,\ti"
    assert draft.detail["password"] == HOSTILE


def test_custom_csv_is_read_with_a_column_map():
    data = table(["Name", "Secret", "Tags", "Room"], ["Mail", "p", "a, b", "7"])

    [draft] = read(
        data, "csv", columns={"title": "name", "password": "Secret", "tags": "Tags"}
    ).drafts

    assert draft.overview == {"title": "Mail", "tags": ["a", "b"]}
    assert draft.detail["password"] == "p"
    assert draft.detail["fields"] == [{"name": "Room", "kind": "text", "value": "7"}]
    assert "no column Nome" in rejected(data, "csv", columns={"title": "Nome"})
    assert "Say which column is which field" in rejected(data, "csv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"name,url,username,password\na,b,c\n", "line 2: has 3 columns, and the first line has 4"),
        (b'name,url,username,password\n"a,b,c,d\n', "line 2: has a quote that is never closed"),
        (b"name,url,username,password,name\na,b,c,d,e\n", "names a column twice: name"),
        (b"name,url,username,password\na,b,c,d\0\n", "line 2: has a NUL"),
        (b"name,url,username,password\n", "no entries"),
        (b"name,url,username,password\na,b,c," + b"x" * 200_000, "more than 128 KiB"),
        (b"folder,favorite,type,name,notes\n", "Bitwarden CSV"),
        (b"name,url,username,password\n\xff", "Line 2 is not UTF-8"),
    ],
)
def test_invalid_csv_is_rejected_with_its_line(data, message):
    assert message in rejected(data, "chrome" if b"Bitwarden" in data else None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # Created when needed, not in each process that only collects tests.
        (lambda: zipped(export_data=b"0" * 300_000_000), "zip bomb"),
        (lambda: zipped(data_json=json.dumps({"a": "0" * 60_000_000})), "zip bomb"),
        (zipped(__etc__passwd="x", data_json="{}"), "absolute path"),
        (zipped(**{"____..__x": "x"}), "absolute path"),
        (foreign_files.onepassword()[:-30], "damaged or was cut off"),
        (zipped(other_txt="x"), "contains no export that Vaultr knows"),
        (zipped(Proton__data_pgp="x"), "PGP"),
        (b"PK\x03\x04garbage", "damaged or was cut off"),
    ],
)
def test_hostile_archive_is_rejected(data, message):
    assert message in rejected(data() if callable(data) else data)


def test_archive_with_duplicate_file_name_is_rejected():
    data = io.BytesIO()

    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("data.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("data.json", '{"other": 1}')

    assert "two files with the same name" in rejected(data.getvalue())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"kind: Secret\na: &x [1]\nb: *x\n", "aliases"),
        (b"kind: Secret\nmetadata: {name: a}\ndata: {A: '*'}\n", "data.A is not base64"),
        (b"kind: Secret\nmetadata: {name: [\n", "is not YAML"),
        (b"kind: Secret\nx: " + b"[" * 400, "nested too deep"),
        (b"kind: Secret\nx: !!python/object/apply:os.system [id]\n", "is not YAML"),
        (b"<html><body>Sign in</body></html>", "web page"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "key or a certificate"),
        (b'{"accounts": 1}', "not an export of Bitwarden"),
        (b'{"encrypted": true, "vaults": {}, "items": []}', "PGP"),
        (b'{"vaultr_export": 9}', "version 1"),
        (b'{"DOPPLER_PROJECT": "x"}', "no secret"),
        (b'[{"key": ["a"], "value": "b"}]', "secret 1: key must be text"),
        (b'{"DOPPLER_PROJECT": "x", "A": "\\ud800"}', "not JSON in Unicode"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
    ],
)
def test_each_invalid_file_has_its_own_error(data, message):
    assert message in rejected(data)


def _mutated(data, random_source):
    kind = random_source.randrange(3)
    if kind == 0:
        return data[: random_source.randrange(len(data))]
    found = bytearray(data)
    if kind == 1:
        for _ in range(random_source.randint(1, 8)):
            found[random_source.randrange(len(found))] ^= 1 << random_source.randrange(8)
    else:
        start, end = sorted(random_source.randrange(len(found)) for _ in range(2))
        piece = found[start:end]
        random_source.shuffle(piece)
        found[start:end] = piece
    return bytes(found)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_file_is_read_or_rejected_without_traceback(name, count):
    source = random.Random(name)

    for _ in range(count(15, many=3000)):
        data = _mutated(foreign_files.all_files()[name], source)
        with contextlib.suppress(ImportProblems):
            for draft in read(data, name).drafts:
                check(draft.type, draft.overview, draft.detail)
