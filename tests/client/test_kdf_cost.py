"""An account with KDF parameters below today's default, and how its owner raises them."""

import pytest

from tests.harness.client.server_attacks import titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.errors import PinMismatch, SessionEnded, UsageError
from vaultr.protocol.kdf import Kdf

TODAY = Kdf("argon2id", m=131_072, t=4, p=4)


@pytest.fixture
def later(monkeypatch):
    """A later release of the client, with higher parameters for new accounts."""
    monkeypatch.setattr(Kdf, "RECOMMENDED", TODAY)


def test_raised_cost_keeps_password_and_items(world, later):
    world.laptop.add("login", *mail())
    phone = world.second()
    assert world.laptop.kdf_is_low

    world.laptop.raise_kdf_cost(PASSWORD)

    assert not world.laptop.kdf_is_low
    again = world.device("laptop")
    again.unlock(PASSWORD)
    assert again.device.store.account().derivation.kdf == TODAY
    assert titles(again) == ["Mail"]
    with pytest.raises(SessionEnded):
        phone.sync()
    with pytest.raises(PinMismatch, match="vaultr login --changed"):
        phone.login(EMAIL, PASSWORD)
    phone.login(EMAIL, PASSWORD, changed=True)
    phone.sync()
    assert titles(phone) == ["Mail"]


def test_account_with_todays_parameters_is_not_changed(world):
    with pytest.raises(UsageError):
        world.laptop.raise_kdf_cost(PASSWORD)

    assert world.sent("PUT", "/auth/credentials") == []


def test_command_raises_the_cost_once(proxy, later):
    raised = proxy.types("passwd", "--kdf-only")
    again = proxy.types("passwd", "--kdf-only", password=None)

    assert "The KDF cost is raised; the master password is the same." in raised.out
    assert "vaultr login --changed" in raised.out
    assert again.code == 0
    assert again.out == "Nothing was changed: the KDF cost is at least today's default.\n"
    assert proxy.types("list").code == 0


def test_unlock_and_doctor_report_low_parameters(proxy, later):
    unlocked = proxy.types("unlock")
    checked = proxy.types("doctor", password=None)

    assert "vaultr passwd --kdf-only" in unlocked.err
    assert "KDF parameters" in checked.out


def test_low_cost_option_excludes_a_new_password(proxy):
    result = proxy.types("passwd", "--kdf-only", "--others-know", password=None)

    assert result.code == 2
    assert "--kdf-only keeps the password and all keys" in result.err
