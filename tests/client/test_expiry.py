"""Expiry dates are set, listed, and copied from API keys; health finds expiring items."""

import json


def test_expiry_is_set_listed_and_found(device):
    key = {
        "overview": {"title": "Expiring key"},
        "detail": {"key": "k", "expires_at": "2020-02-03"},
    }
    device.done("add", "api_key", "--json", stdin=json.dumps(key))
    device.done(
        "add", "ssh_key", "--title", "Expiring ssh", "--generate", "--expires-on", "2021-01-01"
    )

    listed = device.types("list", "Expiring", "--expiring", "30d")
    found = device.types("health", "--fail-on", "expiring", "--json")
    wrong = device.fails(2, "health", "--fail-on", "nothing")

    assert listed.stdout.splitlines()[0].split() == [
        "TITLE",
        "TYPE",
        "USERNAME",
        "FOLDER",
        "EXPIRES",
        "ID",
    ]
    assert [line.split()[1] for line in listed.stdout.splitlines()[1:]] == ["key", "ssh"]
    titles = {each["title"] for each in json.loads(found.stdout)["findings"]}
    assert titles >= {"Expiring key", "Expiring ssh"}
    assert found.returncode == 1
    assert "--fail-on does not know nothing" in wrong
    device.done("edit", "Expiring key", "--set", "expires_on=2999-01-01")
    assert "Expiring key" not in device.done("list", "Expiring", "--expiring", "30d")
    device.done("rm", "Expiring key", "Expiring ssh")


def test_rule_is_stored_and_used_by_generate(device):
    device.done("add", "login", "--title", "Ruled", "--generate")
    device.done("edit", "Ruled", "--rule", "length 8; digit", "--generate")
    first = device.run_json("show", "Ruled", "--reveal")["detail"]["password"]
    device.done("edit", "Ruled", "--generate")
    second = device.run_json("show", "Ruled", "--reveal")["detail"]["password"]

    assert first.isdigit()
    assert second.isdigit()
    assert first != second
    assert len(second) == 8
    device.done("rm", "Ruled", "--forever", "--yes")
