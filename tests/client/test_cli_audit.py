"""The audit commands with a real server and its running sequencer."""

import json
import subprocess
import sys
import time

import pytest

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def bundle(device, tmp_path_factory):
    """An exported bundle of an account whose events are sequenced."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        listed = device.run_json("audit", "list")
        if listed and all(event["index"] is not None for event in listed[1:]):
            break
        assert time.monotonic() < deadline, "the events are not sequenced"
        time.sleep(0.5)
    path = tmp_path_factory.mktemp("audit") / "bundle.jsonl"
    device.done("audit", "export", "--out", str(path))
    return path


def test_audit_list_shows_newest_events_first(device, bundle):
    events = device.run_json("audit", "list")

    times = [json.loads(event["body"])["t"] for event in events]
    assert times == sorted(times, reverse=True)
    assert {"account.create", "key.publish"} <= {json.loads(each["body"])["typ"] for each in events}


def test_audit_list_filters_by_action(device, bundle):
    events = device.run_json("audit", "list", "--action", "auth.login")

    assert {json.loads(each["body"])["typ"].rpartition(".")[0] for each in events} == {"auth.login"}


def test_audit_verify_continues_from_the_pinned_checkpoint(device, bundle):
    first = device.run_json("audit", "verify")
    second = device.run_json("audit", "verify")

    assert first["events"] > 0 or first["size"] > 0
    assert second["size"] >= first["size"]
    assert second["key"] == first["key"]


def test_bundle_verifies_offline(device, bundle):
    answer = device.run_json("audit", "verify", "--bundle", str(bundle))

    assert answer["events"] > 0


def test_documented_script_verifies_the_bundle(bundle):
    done = subprocess.run(
        [sys.executable, "docs/verify_audit_bundle.py", str(bundle)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verified: ")


def test_documented_script_rejects_a_changed_bundle(bundle, tmp_path):
    lines = bundle.read_text().splitlines()
    events = [at for at, line in enumerate(lines) if '"type":"event"' in line]
    for name, changed in {
        "left-out": [*lines[: events[1]], *lines[events[1] + 1 :]],
        "edited": [*lines[: events[0]], lines[events[0]].replace("account", "accounx", 1)],
    }.items():
        path = tmp_path / name
        path.write_text("\n".join(changed) + "\n")

        done = subprocess.run(
            [sys.executable, "docs/verify_audit_bundle.py", str(path)], capture_output=True
        )

        assert done.returncode == 1, name


def test_export_does_not_overwrite_an_existing_file(device, bundle):
    device.fails(2, "audit", "export", "--out", str(bundle))


def test_changed_bundle_exits_5(device, bundle, tmp_path):
    lines = bundle.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"type":"event"' in line)
    for name, changed in {
        "left-out": [*lines[:at], *lines[at + 1 :]],
        "repeated": [*lines[: at + 1], *lines[at:]],
        "edited": [*lines[:at], lines[at].replace("account", "accounx", 1), *lines[at + 1 :]],
    }.items():
        path = tmp_path / name
        path.write_text("\n".join(changed) + "\n")

        device.fails(5, "audit", "verify", "--bundle", str(path))


def test_unknown_key_is_not_accepted(device, bundle):
    message = device.fails(5, "audit", "accept-key", "00" * 32, "--yes")

    assert "Nothing proves" in message
