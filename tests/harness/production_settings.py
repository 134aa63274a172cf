"""Settings of a server in production."""

from vaultr.settings import loader

KEYS = loader.generate_keys("k1")
PRODUCTION = {
    **KEYS,
    "VAULTR_ENV": "production",
    "DATABASE_URL": "postgresql://vaultr:hunter2@db/vaultr",
    "REDIS_URL": "redis://:hunter2@cache/0",
    "BASE_URL": "https://vault.example.org",
    "SMTP_HOST": "mail.example.org",
}
