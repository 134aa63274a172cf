"""Settings: all problems in one message, by name and never by value."""

import hashlib

import pytest

from tests.harness.mail_servers import Certificate
from tests.harness.production_settings import KEYS, PRODUCTION
from vaultr.protocol.encoding import b64
from vaultr.settings import loader
from vaultr.settings.environment import InvalidSettings
from vaultr.settings.model import Settings


@pytest.fixture
def home(tmp_path):
    return {"VAULTR_HOME": str(tmp_path / "home")}


def problems(variables):
    with pytest.raises(InvalidSettings) as rejection:
        Settings.from_environ(variables)
    return rejection.value.problems


def named(variables):
    return {problem.partition(":")[0] for problem in problems(variables)}


def test_development_needs_no_settings(home):
    settings = Settings.from_environ(home)

    assert not settings.production
    assert settings.database_url.get_secret_value().startswith("sqlite:////")
    assert (settings.bind, settings.port, settings.base_url) == (
        "127.0.0.1",
        3000,
        "http://127.0.0.1:3000",
    )
    assert (settings.web_concurrency, settings.web_threads, settings.max_waiting_logins) == (
        1,
        16,
        8,
    )
    assert (settings.background, settings.metrics_port) == ("inline", None)
    assert settings.hosts == {"127.0.0.1"}


def test_development_keys_are_generated_once_and_private(home, tmp_path):
    first, second = Settings.from_environ(home), Settings.from_environ(home)

    assert first.jwt_secret == second.jwt_secret
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "home").iterdir()] == [0o600]


def test_database_url_selects_production():
    assert "BASE_URL" in named({"DATABASE_URL": "postgresql://db/vaultr"})


def test_production_has_its_own_defaults():
    settings = Settings.from_environ({**PRODUCTION, "WEB_CONCURRENCY": "4"})

    assert settings.production
    assert (settings.bind, settings.background, settings.metrics_port) == (
        "0.0.0.0",
        "process",
        9464,
    )
    assert settings.hosts == {"vault.example.org"}


def test_production_lists_all_missing_settings_in_one_message():
    with pytest.raises(InvalidSettings) as rejection:
        Settings.from_environ({"VAULTR_ENV": "production"})

    needed = set(PRODUCTION) - {"VAULTR_ENV", "CHECKPOINT_KEY"}
    assert rejection.value.problems == sorted(f"{name}: required" for name in needed)
    assert all(f"  - {name}: required" in str(rejection.value) for name in needed)


def test_wrong_missing_and_conflicting_settings_are_reported_together():
    reported = named(
        {
            "VAULTR_ENV": "production",
            "DATABASE_URL": "sqlite:///x.db",
            "REDIS_URL": "http://cache",
            "BASE_URL": "http://vault.example.org",
            "PORT": "many",
            "LIMIT_READS": "100",
            "JWT_SECRET": "short",
            "SMTP_SECURE": "none",
            "SMTP_HOST": "mail.example.org",
            "SMTP_USER": "someone",
        }
    )

    assert reported == {
        *("DATABASE_URL", "REDIS_URL", "BASE_URL", "PORT", "LIMIT_READS", "JWT_SECRET"),
        *("SMTP_SECURE", "SMTP_USER, SMTP_PASS"),
        *("PEPPER", "FACTOR_KEY", "MAIL_KEY", "AUDIT_KEY"),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:hunter2/x@db/vaultr"),
        ("DATABASE_URL", "postgresql://u:12?hunter2=1@db/vaultr"),
        ("DATABASE_URL", "postgresql://u:12#hunter2@db/vaultr"),
        ("DATABASE_URL", "postgresql://u:p@db:hunter2/vaultr"),
        ("DATABASE_URL", "postgresql://[hunter2/vaultr"),
        ("DATABASE_URL", "mysql://u:hunter2@db/vaultr"),
        ("DATABASE_URL", "postgresql://u:p@db/vaultr?pool_size=hunter2"),
        ("DATABASE_URL", "postgresql://u:p@db/vaultr?application=hunter2"),
        ("DATABASE_URL", "postgresql://u:p@db/vaultr?schema=hunter2"),
        ("REDIS_URL", "redis://:hunter2/x@cache:1"),
        ("REDIS_URL", "hunter2"),
        ("DATABASE_CA", "hunter2"),
        ("PRIVATE_CA", "hunter2"),
        ("REDIS_CA", "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----"),
        ("VAULTR_ENV", "hunter2"),
        ("PORT", "hunter2"),
        ("PORT", "70000"),
        ("WEB_CONCURRENCY", "0"),
        ("DRAIN_SECONDS", "25"),
        ("ACCESS_TOKEN_SECONDS", "601"),
        ("LIMIT_LOGIN_ACCOUNT", "hunter2"),
        ("LIMIT_LOGIN_ACCOUNT", "0/900"),
        ("LIMIT_LOGIN_ACCOUNT", "5/0"),
        ("LIMIT_LOGIN_ACCOUNT", "5 / 900"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "9"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,hunter2"),
        ("BIND", "hunter2:"),
        ("BIND", "hunter2:port"),
        ("SMTP_FROM", "hunter2"),
        ("MIGRATION_DATABASE_URL", "mysql://hunter2"),
        ("LOG_LEVEL", "hunter2"),
        ("SMTP_SECURE", "hunter2"),
        ("BACKGROUND", "hunter2"),
        ("BASE_URL", "vault.hunter2.example"),
        ("BASE_URL", "https://vault.example.org/hunter2"),
        ("BASE_URL", "https://hunter2@vault.example.org"),
        ("BASE_URL", "https://vault.example.org:hunter2"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://hunter2.example/path"),
        ("CORS_ORIGINS", "hunter2.example"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "*.hunter2.example"),
        ("ALLOWED_HOSTS", "https://hunter2.example"),
        ("ALLOWED_HOSTS", "hunter2.example:3000"),
        ("ALLOWED_HOSTS", "hunter2.example"),  # but BASE_URL is another one
        ("LOGIN_QUEUE", "16"),
        ("METRICS_PORT", "3000"),
        ("READY_REQUIRES", "hunter2"),
        ("QUOTA_ITEM_BYTES", "300000000"),
        ("PEPPER", "hunter2"),
        ("PEPPER", "a" * 40),
        ("PEPPER", "hunter2!" * 5),
        ("PEPPER", "change-me-to-something-with-hunter2-in-it"),
        ("PEPPER", "k1:hunter2"),
        ("PEPPER", f"{KEYS['PEPPER']},k2:hunter2"),
        ("PEPPER", f"{KEYS['PEPPER']}=,k2:{'B' * 43}"),
        ("PEPPER", f"{KEYS['PEPPER']},hunter2"),
        ("PEPPER", f"{KEYS['PEPPER']},{KEYS['AUDIT_KEY']}"),
        ("PEPPER", f"{KEYS['PEPPER']},k2:{KEYS['PEPPER'].partition(':')[2]}"),
        ("PEPPER", KEYS["MAIL_KEY"]),
        ("PEPPER", f"k2:{KEYS['CHECKPOINT_KEY'].partition(':')[2]}"),
    ],
    ids=lambda text: text if text.isidentifier() else "wrong",
)
def test_problem_names_setting_without_its_value(name, value):
    reported = problems({**PRODUCTION, name: value})

    assert len(reported) == 1
    assert reported[0].startswith(name) or name in ("PEPPER", "BASE_URL")
    assert "hunter2" not in reported[0]
    assert KEYS["PEPPER"] not in reported[0]


@pytest.mark.parametrize("length", [31, 33])
@pytest.mark.parametrize("named", [True, False])
def test_checkpoint_key_that_is_not_32_bytes_is_rejected(length, named):
    seed = hashlib.sha512(b"a seed of another length").digest()[:length]
    text = b64(seed) if named else seed.hex()[:length]
    value = f"k1:{text}" if named else text

    [problem] = problems({**PRODUCTION, "CHECKPOINT_KEY": value})

    assert problem.startswith("CHECKPOINT_KEY: ")
    assert "32 bytes" in problem
    assert text not in problem


def test_development_allows_hosts_other_than_base_url(home):
    assert Settings.from_environ({**home, "ALLOWED_HOSTS": "vault.test"}).hosts == {"vault.test"}


def test_invalid_host_is_reported_once():
    assert len(problems({**PRODUCTION, "ALLOWED_HOSTS": "vault.example.org:1"})) == 1


def test_several_workers_without_redis_are_rejected(home):
    assert named({**home, "WEB_CONCURRENCY": "2"}) == {"WEB_CONCURRENCY"}


def test_url_options_configure_the_pool():
    url = "postgresql://vaultr:pw@db:5432/vaultr?schema=public&pool_size=20&max_overflow=10"

    settings = Settings.from_environ({**PRODUCTION, "DATABASE_URL": url})

    assert settings.database_url.get_secret_value() == (
        "postgresql+psycopg2://vaultr:pw@db:5432/vaultr?pool_size=20&max_overflow=10"
    )


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *(("false", "starttls"), ("true", "tls"), ("TRUE", "tls"), ("tls", "tls")),
        *(("starttls", "starttls"), ("", "starttls")),
    ],
)
def test_smtp_secure_accepts_documented_values(value, meant):
    assert Settings.from_environ({**PRODUCTION, "SMTP_SECURE": value}).smtp_secure == meant


@pytest.mark.parametrize(
    ("query", "ok"),
    [
        ("", True), ("?sslmode=verify-full", True), ("?pool_size=3", True),
        ("?sslmode=require", False), ("?sslrootcert=/etc/ca.crt", False),
    ],
)  # fmt: skip
def test_database_ca_requires_full_verification(tmp_path, query, ok):
    authority = Certificate(tmp_path, "localhost").file.read_text()
    url = f"postgresql://u:p@db.example.org/vaultr{query}"
    environ = {**PRODUCTION, "DATABASE_URL": url, "DATABASE_CA": authority}
    environ["VAULTR_HOME"] = str(tmp_path)

    if ok:
        found = Settings.from_environ(environ).database_url.get_secret_value()
        [path] = tmp_path.glob("database-ca-*.pem")
        assert path.read_text() == authority
        assert "sslmode=verify-full" in found
        assert str(path).rpartition("/")[2] in found
    else:
        assert named(environ) == {"DATABASE_CA"}


@pytest.mark.parametrize(
    ("query", "is_added"),
    [("?sslmode=verify-full", True), ("?sslmode=require", False), ("", False)],
)
def test_private_ca_is_added_only_to_verified_database_url(tmp_path, query, is_added):
    environ = {
        **PRODUCTION,
        "DATABASE_URL": f"postgresql://u:p@db.example.org/vaultr{query}",
        "PRIVATE_CA": Certificate(tmp_path, "localhost").file.read_text(),
        "VAULTR_HOME": str(tmp_path / "home"),
    }

    settings = Settings.from_environ(environ)

    assert ("sslrootcert=" in settings.database_url.get_secret_value()) == is_added
    assert [*tmp_path.glob("home/database-ca-*.pem")] != [] or not is_added


def test_redis_ca_without_tls_is_rejected(tmp_path):
    authority = Certificate(tmp_path, "localhost").file.read_text()

    assert named({**PRODUCTION, "REDIS_CA": authority}) == {"REDIS_CA"}


def test_unencrypted_smtp_is_allowed_only_to_loopback(home):
    mail = {**home, "SMTP_SECURE": "none"}

    assert Settings.from_environ({**mail, "SMTP_HOST": "127.0.0.1"}).smtp_secure == "none"
    assert named({**mail, "SMTP_HOST": "127.evil.example"}) == {"SMTP_SECURE"}


def test_datadog_host_is_an_alias_of_statsd_host(home, tmp_path):
    (tmp_path / "host").write_text("from-file\n")

    assert Settings.from_environ({**home, "DATADOG_HOST": "agent"}).statsd_host == "agent"
    both = {**home, "DATADOG_HOST": "agent", "STATSD_HOST": "own"}
    assert Settings.from_environ(both).statsd_host == "own"
    by_file = {**home, "DATADOG_HOST_FILE": str(tmp_path / "host")}
    assert Settings.from_environ(by_file).statsd_host == "from-file"


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_each_setting_can_be_read_from_a_file(name, tmp_path):
    (tmp_path / "value").write_text(f"{PRODUCTION[name]}\n")
    provided = {**PRODUCTION, f"{name}_FILE": str(tmp_path / "value")}
    del provided[name]

    assert Settings.from_environ(provided) == Settings.from_environ(PRODUCTION)


def test_unreadable_setting_files_are_reported_by_name(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("\n")
    provided = {
        **PRODUCTION,
        "PEPPER_FILE": str(tmp_path / "hunter2"),
        "AUDIT_KEY_FILE": str(tmp_path / "binary"),
        "SMTP_HOST_FILE": str(tmp_path / "empty"),
        "MAIL_KEY_FILE": str(tmp_path / "empty"),
    }
    for name in ("PEPPER", "AUDIT_KEY", "SMTP_HOST"):
        del provided[name]

    reported = problems(provided)

    assert [one.partition(":")[0] for one in reported] == [
        *("AUDIT_KEY_FILE", "MAIL_KEY", "PEPPER_FILE", "SMTP_HOST_FILE"),
    ]
    assert "hunter2" not in " ".join(reported)


def test_key_set_separated_by_commas_or_lines_keeps_order():
    one, two = (loader.generate_keys(key_id)["PEPPER"] for key_id in ("new", "old.1"))

    by_comma = Settings.from_environ({**PRODUCTION, "PEPPER": f"{one}, {two}"}).pepper
    by_line = Settings.from_environ({**PRODUCTION, "PEPPER": f"{one}\n{two}\n"}).pepper

    assert list(by_comma.by_id) == ["new", "old.1"]
    assert by_comma == by_line


def test_plain_value_becomes_one_default_key():
    plain = "correct: horse, battery / staple = 4711 ä"

    assert Settings.from_environ({**PRODUCTION, "PEPPER": plain}).pepper.by_id == {
        "default": plain.encode()
    }


def test_repr_of_settings_contains_no_secret():
    provided = {**PRODUCTION, "SMTP_USER": "u", "SMTP_PASS": "hunter2"}

    shown = repr(Settings.from_environ(provided))

    assert "hunter2" not in shown
    assert all(text.partition(":")[2] not in shown for text in KEYS.values())


def test_invalid_environment_creates_no_files(home, tmp_path):
    problems({**home, "VAULTR_ENV": "prod"})

    assert not (tmp_path / "home").exists()


def test_every_setting_has_a_description():
    silent = [name for name, field in Settings.model_fields.items() if not field.description]

    assert silent == []
