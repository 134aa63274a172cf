"""Lists show the vault of each item if there are several vaults."""

import json

import pytest

from tests.harness.client.owners import owner


def add(device, *words):
    item = {"overview": {"title": "Vault seen"}, "detail": {"password": "x"}}
    return device.run_json("add", "login", *words, stdin=json.dumps(item))


@pytest.fixture
def seen(device):
    item = add(device)
    yield item
    device.done("rm", item["id"], "--forever", "--yes")


def test_list_of_one_vault_has_no_vault_column(site, tmp_path):
    alone = owner(site, tmp_path, "one-vault@example.org")
    item = add(alone)

    head, row = alone.done("list", "Vault seen").splitlines()

    assert head.split() == ["TITLE", "TYPE", "USERNAME", "FOLDER", "ID"]
    assert "Personal" not in row
    assert "Personal" not in alone.done("show", item["id"])


def test_list_of_several_vaults_has_a_vault_column(device, seen):
    device.done("vaults", "add", "Cellar")
    other = add(device, "--vault", "Cellar")

    head, *rows = device.done("list", "Vault seen").splitlines()
    assert head.split() == ["TITLE", "TYPE", "USERNAME", "FOLDER", "VAULT", "ID"]
    assert sorted(row.split()[-2:] for row in rows) == sorted(
        [["Personal", seen["id"]], ["Cellar", other["id"]]]
    )
    assert "VAULT" not in device.done("list", "--vault", "Cellar")
    assert ["vault", "Cellar"] in [
        line.split() for line in device.done("show", other["id"]).splitlines()
    ]
    assert set(device.run_json("list", "Vault seen")[0]) == set(
        device.run_json("show", other["id"])
    )
    device.done("vaults", "rm", "Cellar", "--confirm", "Cellar")


def test_variables_are_shown_by_their_field_names(device):
    variables = {"overview": {"title": "Names"}, "detail": {"variables": {"A": "one", "B": "2"}}}
    item = device.run_json("add", "env_set", stdin=json.dumps(variables))

    hidden = device.done("show", item["id"])
    shown = device.done("show", item["id"], "--reveal")

    assert ["A", "one"] in [line.split() for line in shown.splitlines()]
    assert [line.split()[0] for line in hidden.splitlines()] == [
        line.split()[0] for line in shown.splitlines()
    ]
    device.done("rm", item["id"], "--forever", "--yes")
