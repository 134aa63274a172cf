"""The doctor on a device whose server or disk no longer works."""

import copy
import shutil
import subprocess

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.doctor_findings import findings
from tests.harness.client.owners import owner, second

NEW = "another master password"
# In a separate namespace, so that root cannot write there either.
READ_ONLY = (
    'set -e; mount --bind "$VAULTR_DIR" "$VAULTR_DIR";'
    ' mount -o remount,bind,ro "$VAULTR_DIR"; exec "$@"'
)
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture
def pair(site, tmp_path, request):
    """The first and the second device of an owner; the second one is unlocked."""
    first = owner(site, tmp_path, f"{request.node.name.replace('_', '-')[5:40]}@example.org")
    other = second(site, tmp_path, first).with_agent()
    other.done("unlock")
    yield first, other
    other.done("lock", password=None)


def test_session_ended_elsewhere_fails_the_check(pair):
    first, other = pair
    [there] = [each["id"] for each in first.run_json("sessions", "list") if not each["current"]]
    first.done("sessions", "revoke", there)

    found = findings(other, code=1)

    assert found["session"]["state"] == "fail"
    assert "vaultr login" in found["session"]["advice"]
    assert found["server"]["state"] == "ok"


def test_password_changed_elsewhere_is_reported(pair):
    first, other = pair
    first.done("passwd", "--nobody-knows", also={"--new-password-fd": NEW})

    assert "vaultr login --changed" in findings(other, code=1)["session"]["advice"]


def test_deleted_account_is_reported_on_every_device(pair):
    first = pair[0]
    first.done("account", "delete", "--confirm", first.email)

    for device in pair:
        found = findings(device, code=5)
        assert "yours was deleted" in found["session"]["said"]
        assert "--offline" in found["session"]["advice"]
        assert found["account"]["state"] == "ok", "its local data is intact"


def test_logged_out_device_is_not_a_failure(pair):
    first, _ = pair
    first.done("logout")

    found = findings(first)

    assert found["session"]["state"] == "warn"
    assert "vaultr login" in found["session"]["advice"]


def test_doctor_on_locked_device_prompts_for_nothing(account):
    found = findings(account)

    assert found["session"]["state"] == "ok"
    assert "locked" in found["session"]["said"]


def test_pending_signup_reports_the_missing_confirmation(site, tmp_path):
    device = Device(tmp_path / "home", site.url, email="waiting@example.org")
    device.done("signup", "--email", device.email)

    found = findings(device)

    assert found["account"]["state"] == "warn"
    assert "vaultr verify TOKEN" in found["account"]["advice"]
    assert "vaultr resend" in found["account"]["advice"]
    assert "signup" not in found["account"]["advice"]


def test_unwritable_folder_fails_the_check(account, tmp_path):
    device = copy.copy(account)
    shutil.copytree(account.home / "vaultr", tmp_path / "vaultr")
    device.environ = {**account.environ, "VAULTR_DIR": str(tmp_path / "vaultr")}
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0:
        device.program = (*UNSHARE, "sh", "-c", READ_ONLY, "sh", *account.program)
    else:
        (tmp_path / "vaultr").chmod(0o500)

    found = findings(device, code=1)

    assert "is not writable" in found["folder"]["said"]
    assert "VAULTR_DIR" in found["folder"]["advice"]
