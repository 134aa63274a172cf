"""The watcher process, with a server that is busy or unreachable for a while."""

import pytest

from tests.harness.client.world import mail
from vaultr.client.run import watcher

SPEC = {
    "sets": ["prod"], "files": [], "vault": None, "only": [], "prefix": "", "last_wins": False,
    "allow": [],
}  # fmt: skip


@pytest.mark.parametrize(("slug", "status"), [
    ("busy", 503), ("unavailable", 503), ("rate-limited", 429),
])  # fmt: skip
def test_temporary_server_error_does_not_end_the_watch(world, monkeypatch, slug, status):
    world.laptop.add("login", *mail())
    world.laptop.add("env_set", {"title": "prod"}, {"variables": {"A": "1"}})
    arguments, pauses, looks = [], [], iter(range(3))

    def wait(_vaultr, _job, pause):
        pauses.append(pause)
        return next(looks, None) is not None

    monkeypatch.setattr(watcher, "_wait", wait)
    monkeypatch.setattr(watcher, "_send", arguments.append)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    rejections = iter(range(4))  # as often as one request is sent

    def tamper(method, path, value, body):
        if next(rejections, None) is None:
            return value, body
        return status, {"type": f"urn:vaultr:problem:{slug}", "status": status}

    world.server.tamper = tamper
    last = {"variables": {"A": "0"}, "secrets": ["0"], "references": {}}
    job = {"spec": SPEC, "references": {}, "every_seconds": 1.0, "last": last}

    watcher._watch(world.laptop, job)

    assert [each["variables"] for each in arguments] == [{"A": "1"}]
    assert pauses == [1.0, 2.0, 1.0, 1.0]
