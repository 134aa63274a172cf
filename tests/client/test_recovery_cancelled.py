"""Cancel a recovery while the server is unreachable for some time."""

import pytest

from vaultr.client.errors import Unavailable


def test_failed_recovery_cancellation_keeps_the_token(world, monkeypatch):
    """Without a login, the token is the only way to cancel it."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    device = world.device("new")
    device.device.store.folder.write_signed("recovering.json", b'{"email":"a@b.c","token":"t0"}')
    world.server.tamper = lambda method, path, status, body: (503, {
        "type": "urn:vaultr:problem:unavailable", "status": 503,
    })  # fmt: skip

    with pytest.raises(Unavailable):
        device.cancel_recovery("t0")

    assert device.begun_recovery == ("a@b.c", "t0")
