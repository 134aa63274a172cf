import json
from pathlib import Path

import pytest

from tests.fixtures import make_bitwarden
from tests.fixtures.protect_bitwarden import protect
from tests.fixtures.small_exports import entry, plain, problems, read
from vaultr.client.crypto import primitives
from vaultr.client.items.schemas import check
from vaultr.client.vaults.plaintext import encode

FIXTURES = Path(__file__).parent.parent / "fixtures"
PROTECTED = (FIXTURES / "bitwarden-protected.json").read_bytes()


@pytest.fixture(scope="module")
def export():
    return make_bitwarden.export(500)


@pytest.fixture(scope="module")
def drafts(export):
    return read(make_bitwarden.as_text(export).encode())


def test_all_500_entries_of_a_real_export_become_valid_items(drafts):
    for draft in drafts:
        check(draft.type, draft.overview, draft.detail)

    kinds = [draft.type for draft in drafts]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "login": 300,
        "note": 50,
        "card": 50,
        "identity": 50,
        "ssh_key": 50,
    }


def test_every_value_of_a_real_export_is_in_the_items(export, drafts):
    stored = make_bitwarden.texts_in([[draft.overview, draft.detail] for draft in drafts])

    lost = make_bitwarden.texts_in(export) - stored

    assert lost == {folder["id"] for folder in export["folders"]}


def test_no_secret_of_a_real_export_is_in_an_overview(export, drafts):
    shown = "\n".join(encode(draft.overview).decode() for draft in drafts)

    for item in export["items"]:
        hidden = [item.get("notes"), item.get("login", {}).get("password")]
        hidden += [item.get("login", {}).get("totp"), item.get("card", {}).get("number")]
        hidden += [item.get("sshKey", {}).get("privateKey"), item.get("identity", {}).get("ssn")]
        hidden += [field.get("value") for field in item["fields"] if field["type"] < 2]
        hidden += [key["keyValue"] for key in item.get("login", {}).get("fido2Credentials", [])]
        hidden += [past["password"] for past in item["passwordHistory"]]
        assert not [value for value in hidden if value and value in shown]


def test_login_keeps_every_field_of_the_export():
    document = plain(
        {
            "type": 1,
            "name": "Übung",
            "favorite": True,
            "reprompt": 1,
            "id": "i",
            "collectionIds": [None],
            "folderId": "f",
            "notes": "n",
            "fields": [
                {"name": "a", "value": "1", "type": 0},
                {"name": "b", "value": "2", "type": 1},
                {"name": "c", "value": "true", "type": 2},
                {"name": "d", "type": 3, "linkedId": 100},
            ],
            "login": {
                "uris": [{"uri": "https://a.example"}, {"uri": "^b$", "match": 4}],
                "fido2Credentials": [
                    {"credentialId": "c", "keyValue": "k", "rpId": "r", "counter": "0"}
                ],
                "username": "ann",
                "password": "p",
                "totp": "t",
            },
            "passwordHistory": [{"password": "old", "lastUsedDate": "2020-01-01T00:00:00.000Z"}],
            "creationDate": "2019-01-01T00:00:00.000Z",
            "revisionDate": "2021-01-01T00:00:00.000Z",
            "archivedDate": "2022-01-01T00:00:00.000Z",
        },
        folders=[{"id": "f", "name": "Arbeit/Server"}],
    )

    [draft] = read(document)

    assert draft.overview == {
        "title": "Übung",
        "username": "ann",
        "urls": ["https://a.example", "^b$"],
        "url_match": {"^b$": "regex"},
        "folder": "Arbeit/Server",
        "favourite": True,
        "archived": True,
    }
    assert draft.detail == {
        "password": "p",
        "totp": "t",
        "passkeys": [{"credential_id": "c", "key_value": "k", "rp_id": "r", "counter": "0"}],
        "notes": "n",
        "fields": [
            {"name": "a", "kind": "text", "value": "1"},
            {"name": "b", "kind": "hidden", "value": "2"},
            {"name": "c", "kind": "flag", "value": "true"},
            {"linkedId": 100, "name": "d", "kind": "link", "value": ""},
        ],
        "history": [{"password": "old", "used_until": "2020-01-01T00:00:00.000Z"}],
        "source": {
            "manager": "bitwarden",
            "id": "i",
            "created_at": "2019-01-01T00:00:00.000Z",
            "updated_at": "2021-01-01T00:00:00.000Z",
            "archived_at": "2022-01-01T00:00:00.000Z",
            "reprompt": True,
        },
    }


def test_older_export_with_nulls_is_read():
    mail, note = read((FIXTURES / "bitwarden-old.json").read_bytes())

    assert mail.overview == {
        "title": "Mail",
        "username": "ann",
        "urls": ["https://mail.example"],
        "folder": "Arbeit",
    }
    assert mail.detail["password"] == "synthetic-2"
    assert (note.type, note.detail["notes"]) == ("note", "synthetic-3")
    assert note.overview["favourite"] is True


def test_unknown_members_are_preserved_as_source():
    [draft] = read(plain(entry(novelty={"a": 1}, login={"autofillOnPageLoad": True})))

    assert draft.detail["source"]["more"] == {
        "novelty": {"a": 1},
        "login": {"autofillOnPageLoad": True},
    }


def test_organisation_collections_become_folder_and_tags():
    document = {
        "encrypted": False,
        "collections": [{"id": "c1", "name": "Ops"}, {"id": "c2", "name": "Web"}],
        "items": [entry(collectionIds=["c1", "c2"])],
    }

    [draft] = read(document)

    assert (draft.overview["folder"], draft.overview["tags"]) == ("Ops", ["Web"])


@pytest.mark.parametrize(
    ("members", "title"),
    [
        ({"login": {"uris": [{"uri": "https://a.example/x"}], "username": "ann"}}, "a.example"),
        ({"login": {"uris": [{"uri": "http://[broken"}], "username": "ann"}}, "ann"),
        ({"login": {}}, "Untitled"),
    ],
)
def test_entry_without_name_gets_a_descriptive_title(members, title):
    [draft] = read(plain(entry(name="", **members)))

    assert draft.overview["title"] == title


def test_passkey_members_that_bitwarden_lost_are_left_out():
    lost = {"credentialId": "c", "keyValue": "k", "rpId": "r", "counter": "[object Object]"}

    [draft] = read(plain(entry(login={"fido2Credentials": [lost]})))

    assert draft.detail["passkeys"] == [{"credential_id": "c", "key_value": "k", "rp_id": "r"}]


def test_known_protected_export_opens_with_its_password():
    [draft] = read(PROTECTED, lambda: "export password")

    assert draft.overview == {"title": "Mail", "username": "ann"}
    assert draft.detail["password"] == "synthetic-1"


@pytest.mark.parametrize("cost", [{"iterations": 5_000}, {"argon2": (16, 2, 1)}])
def test_protected_export_imports_the_same_items(cost, export, drafts):
    document = protect(make_bitwarden.as_text(export), "pässword 🔐", **cost)

    assert read(document, lambda: "pässword 🔐") == drafts


def test_wrong_file_password_is_reported():
    [problem] = problems(PROTECTED, lambda: "another password")

    assert "password of this file is wrong" in problem


def test_altered_protected_export_is_rejected():
    document = protect(json.dumps(plain(entry())), "secret")
    data = document["data"]
    flipped = "A" if data[60] != "A" else "B"

    [problem] = problems({**document, "data": data[:60] + flipped + data[61:]}, lambda: "secret")

    assert "changed" in problem


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"kdfIterations": 4_999}, "kdfIterations"),
        ({"kdfIterations": 2_000_001}, "kdfIterations"),
        ({"kdfIterations": 10**12}, "kdfIterations"),
        ({"kdfIterations": "600000"}, "kdfIterations"),
        ({"kdfIterations": True}, "kdfIterations"),
        ({"kdfType": 1, "kdfIterations": 3, "kdfParallelism": 4}, "kdfMemory"),
        ({"kdfType": 1, "kdfIterations": 3, "kdfMemory": 1025, "kdfParallelism": 4}, "kdfMemory"),
        ({"kdfType": 1, "kdfIterations": 3, "kdfMemory": 15, "kdfParallelism": 4}, "kdfMemory"),
        ({"kdfType": 1, "kdfIterations": 17, "kdfMemory": 64, "kdfParallelism": 4}, "kdfIterat"),
        ({"kdfType": 1, "kdfIterations": 3, "kdfMemory": 64, "kdfParallelism": 17}, "kdfParallel"),
        ({"kdfType": 2}, "kdfType"),
        ({"kdfType": None}, "kdfType"),
        ({"salt": None}, "salt"),
        ({"data": None}, "data"),
        ({"data": "2.abc"}, "data"),
        ({"data": "0.YQ==|YQ==|YQ=="}, "data"),
        ({"data": "2.YQ==|YQ==|YQ=="}, "data"),
        ({"encKeyValidation_DO_NOT_EDIT": 7}, "encKeyValidation"),
    ],
)
def test_unsafe_protected_export_stops_before_password_prompt(members, named, monkeypatch):
    monkeypatch.delattr(primitives, "argon2id")
    monkeypatch.delattr(primitives, "pbkdf2_sha256")

    [problem] = problems({**json.loads(PROTECTED), **members})

    assert named in problem
