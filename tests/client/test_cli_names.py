"""Names as users type them: other case is accepted, similar names are suggested, ids are listed."""

import json

import pytest


def add(device, title, *words, **overview):
    document = {
        "overview": {"title": title, **overview},
        "detail": {"password": f"secret of {title}", "totp": "JBSWY3DPEHPK3PXP"},
    }
    return device.run_json("add", "login", *words, stdin=json.dumps(document))


@pytest.fixture
def hub(device):
    item = add(device, "GitHub", username="ann")
    yield item
    device.done("rm", item["id"], "--forever", "--yes")


@pytest.fixture
def office(device):
    device.done("vaults", "add", "Office")
    yield
    device.done("vaults", "rm", "Office", "--confirm", "Office")


def test_names_in_other_case_match_item_field_and_vault(device, hub):
    assert device.run_json("show", "github")["id"] == hub["id"]
    assert device.run_json("show", "github", "--vault", "personal")["id"] == hub["id"]
    assert device.done("show", "GITHUB", "--field", "Password") == "secret of GitHub\n"
    assert device.done("read", "vaultr://personal/github/password") == "secret of GitHub\n"
    assert len(device.done("code", "github")) == 7


def test_set_name_in_other_case_matches(device):
    item = device.run_json("add", "env_set", "--title", "Staging", "--json", stdin='{"detail": {}}')
    device.done("edit", "staging", "--secret", "A", stdin="1")

    assert device.run_json("export", "STAGING") == {"A": "1"}
    assert "Similar: Staging." in device.fails(1, "export", "Stagin")
    device.done("rm", item["id"], "--forever", "--yes")


def test_similar_names_are_suggested_without_secrets(device, hub):
    item = device.fails(1, "show", "GitHup")
    vault = device.fails(1, "read", "vaultr://Persnal/GitHub/password")
    field = device.fails(1, "show", "GitHub", "--field", "passwrod")

    assert "There is no such item. Similar: GitHub." in item
    assert "There is no such vault. Similar: Personal." in vault
    assert "This item has no field passwrod. Similar: password." in field
    assert "secret of" not in item + vault + field


def test_missing_name_error_suggests_a_list_command(device, hub):
    item = device.fails(1, "show", "0815 4711")
    vault = device.fails(1, "list", "--vault", "Zebra")
    env_set = device.fails(1, "export", "Zebra")
    machine = device.fails(1, "machines", "show", "Zebra")
    code = device.fails(1, "code", "GitHub", "--field", "second")

    assert "To list the items: vaultr list" in item
    assert "There is no such vault. Your vaults: " in vault
    assert "Personal" in vault.partition("Your vaults: ")[2]
    assert "To list the environment sets: vaultr list --type env_set" in env_set
    assert "To list the machines: vaultr machines list" in machine
    assert "To add a TOTP secret: vaultr edit ITEM --secret second" in code


def test_missing_item_error_mentions_the_trash(device, hub):
    active = device.fails(1, "restore", "GitHub")
    device.done("rm", "GitHub")
    trashed = device.fails(1, "rm", "GitHub")

    assert "One has this title, but it is not in the trash." in active
    assert "One is in the trash: restore it first with `vaultr restore`." in trashed


def test_exact_title_is_preferred_and_ambiguous_name_rejected(device, hub):
    lower = add(device, "github")

    assert device.run_json("show", "github")["id"] == lower["id"]
    assert device.done("read", "vaultr://Personal/GitHub/password") == "secret of GitHub\n"
    for words in (("show", "GITHUB"), ("read", "vaultr://Personal/GITHUB/password")):
        message = device.fails(1, *words)
        assert "2 items are called GITHUB: name one by its id." in message
        assert f"{hub['id']}  Personal  GitHub  ann" in message
        assert f"{lower['id']}  Personal  github" in message
    device.done("rm", lower["id"], "--forever", "--yes")


def test_exact_trashed_title_is_preferred_over_other_case(device, hub):
    lower = add(device, "github")
    device.done("rm", lower["id"])

    assert device.run_json("show", "github")["id"] == lower["id"]
    assert device.run_json("show", "GITHUB")["id"] == hub["id"]
    device.done("rm", lower["id"], "--forever", "--yes")


def test_removing_items_requires_the_exact_title(device, hub, office):
    for words in (
        ("rm", "github"),
        ("rm", "github", "--forever", "--yes"),
        ("move", "github", "--to", "Office"),
    ):
        assert "There is no such item. Similar: GitHub." in device.fails(1, *words)
    device.done("rm", "GitHub")
    assert "Similar: GitHub." in device.fails(1, "restore", "github")
    device.done("restore", "GitHub")
    assert device.run_json("show", hub["id"])["state"] == "active"


def test_items_of_other_vaults_do_not_shadow_references(device, hub, office):
    theirs = add(device, "github", "--vault", "Office")

    assert device.done("read", "vaultr://Personal/github/password") == "secret of GitHub\n"
    assert device.done("read", "vaultr://Office/GitHub/password") == "secret of github\n"
    assert device.run_json("show", "GitHub")["id"] == hub["id"]
    assert device.run_json("show", "github")["id"] == theirs["id"]


def test_duplicate_titles_are_distinguished_by_ids_or_vaults(device, hub, office):
    theirs = add(device, "GitHub", "--vault", "Office", username="bob")

    message = device.fails(1, "show", "GitHub")

    assert "2 items are called GitHub: name one by its id, or name the vault." in message
    assert f"{hub['id']}  Personal  GitHub  ann" in message
    assert f"{theirs['id']}  Office    GitHub  bob" in message
    assert device.run_json("show", "GitHub", "--vault", "office")["id"] == theirs["id"]


def test_username_with_line_breaks_prints_no_extra_lines(device, hub):
    twin = add(device, "GitHub", username="bob\nvaultr: all is well\x1b[2J")

    message = device.fails(1, "show", "GitHub")

    assert not any(line.startswith("vaultr: all is well") for line in message.splitlines())
    assert "\x1b" not in message
    device.done("rm", twin["id"], "--forever", "--yes")
