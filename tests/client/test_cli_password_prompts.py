"""Messages of commands that need the master password again, or another one."""

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ("recovery-key", "create"),
        ("totp", "codes"),
        ("email", "change", "new@example.org"),
        ("account", "delete", "--confirm", "ann@example.org"),
        ("vaults", "rm", "Personal", "--confirm", "Personal"),
        ("passwd", "--others-know", "--new-password-fd", "0"),
    ],
    ids=" ".join,
)
def test_unlocked_device_does_not_prompt_for_password(device, words):
    message = device.fails(2, *words, password=None)

    assert "--password-fd" in message
    assert "vaultr unlock" not in message
