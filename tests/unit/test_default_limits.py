"""The default limits and quotas that owners and clients can rely on."""

from vaultr.settings.model import Settings
from vaultr.settings.types import Rate

PROMISED = {
    "login_account": Rate(5, 15 * 60),
    "login_address": Rate(20, 15 * 60),
    "signup": Rate(50, 3600),
    "refresh": Rate(6, 60),
    "mail": Rate(5, 3600),
    "writes": Rate(600, 60),
    "reads": Rate(3000, 60),
    "anonymous": Rate(600, 60),
    "changes": Rate(100_000, 24 * 3600),
}


def test_default_limits_match_the_documentation(tmp_path):
    settings = Settings.from_environ({"VAULTR_HOME": str(tmp_path / "home")})

    assert {name: getattr(settings, f"limit_{name}") for name in PROMISED} == PROMISED
    assert (settings.step_up_seconds, settings.access_token_seconds) == (300, 600)
