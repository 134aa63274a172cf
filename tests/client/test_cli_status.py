"""`vaultr status` and its alias `vaultr whoami`."""

from tests.harness.client.devices import Device


def test_status_of_unlocked_device_shows_account_and_vaults(device, site):
    found = device.run_json("status", password=None)

    assert found["email"] == device.email
    assert found["server"] == site.url
    assert (found["logged_in"], found["unlocked"]) == (True, True)
    assert 0 < found["locks_in_seconds"] <= 15 * 60
    assert "Personal" in [each["name"] for each in found["vaults"]]
    assert (found["second_factors"], found["recovery_key"]) == ([], False)
    assert found["pending"] == []


def test_status_of_locked_device_shows_only_unsealed_data(account):
    shown = account.done("whoami", password=None)

    assert account.email in shown
    assert "locked: vaultr unlock" in shown
    assert "unknown: unlock first" in shown


def test_status_without_account_explains_signup(tmp_path):
    shown = Device(tmp_path / "home", "").done("status", password=None)

    assert "none: vaultr signup, or vaultr login" in shown


def test_status_reports_a_written_emergency_kit(device, tmp_path):
    device.done("kit", str(tmp_path / "kit.html"), password=None)

    assert device.run_json("status", "--offline", password=None)["emergency_kit"] == "written"


def test_status_reports_unconfirmed_signup_as_pending(site, tmp_path):
    waiting = Device(tmp_path / "home", site.url, email="waits@example.org")
    waiting.done("signup", "--email", waiting.email)

    found = waiting.run_json("status", password=None)

    assert found["logged_in"] is False
    assert "waits@example.org is not confirmed: vaultr verify" in found["pending"][0]


def test_device_is_named_after_host_and_user(device):
    assert device.run_json("status", "--offline", password=None)["device_name"].endswith(")")
