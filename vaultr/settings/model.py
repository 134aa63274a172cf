"""All settings of the server, typed and read once. Nothing else reads the environment."""

import os
import ssl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from flask import current_app
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from vaultr.protocol import sizes
from vaultr.settings import cross_checks, loader, private_files, types
from vaultr.settings.types import (
    Certificates,
    CommaList,
    DatabaseUrl,
    KeySet,
    Rate,
    RedisUrl,
    TrustedProxies,
    UpperCase,
)

# Passed by from_environ to validate fields only; it reports all problems in one list.
_FIELDS_ALONE = {"fields_alone": True}


class InvalidSettings(SystemExit):
    """The settings are invalid. The message lists every problem, but no values."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listing = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"Vaultr cannot start. Fix these settings:\n{listing}")


def _in_production() -> dict[str, Any]:
    return {"required_in_production": True}


class Settings(BaseModel):
    """The settings of one server. Each field is read from ``<NAME>`` or ``<NAME>_FILE``."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )

    vaultr_env: Literal["development", "production"] = Field(
        default="development",
        description="`production` rejects settings that are only good enough to try Vaultr.",
    )
    vaultr_home: Path = Field(
        default=Path("var"), description="Folder for the embedded database, keys and emails."
    )
    database_url: DatabaseUrl = Field(
        json_schema_extra=_in_production(),
        description="PostgreSQL URL; accepts `?pool_size=`, `?max_overflow=`, `?prepare=off`.",
    )
    migration_database_url: DatabaseUrl | None = Field(
        default=None,
        description="PostgreSQL URL of the tables' owner, which `flask db` uses.",
    )
    database_ca: Certificates | None = Field(
        default=None, description="Certificates (PEM) of the authorities of PostgreSQL."
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        json_schema_extra=_in_production(),
        description="Redis, which counts rate limits.",
    )
    redis_ca: Certificates | None = Field(
        default=None, description="Certificates (PEM) of the authorities of Redis."
    )
    private_ca: Certificates | None = Field(
        default=None,
        description="Certificates (PEM) of your own authorities, besides the public ones: for"
        " BASE_URL, mail, PostgreSQL, Redis, witnesses and buckets.",
    )
    port: int = Field(default=3000, ge=1, le=65535, description="Port to listen on.")
    bind: str = Field(
        default="", description="Address to listen on; the default depends on VAULTR_ENV."
    )
    drain_seconds: int = Field(
        default=5, ge=0, le=24, description="Seconds to keep listening after SIGTERM."
    )
    web_concurrency: int = Field(
        default_factory=lambda: min(4, len(os.sched_getaffinity(0))),
        ge=1,
        le=64,
        description="Worker processes; 1 without REDIS_URL.",
    )
    web_threads: int = Field(default=16, ge=2, le=128, description="Threads of each worker.")
    parallel_requests: int | None = Field(
        default=None,
        ge=1,
        description="Requests of an account at a time in a worker; default: half the threads.",
    )
    login_queue: int | None = Field(
        default=None,
        ge=1,
        description="Logins of each worker that may wait for a hash; default: half the threads.",
    )
    login_wait_seconds: int = Field(default=3, ge=1, le=60, description="Wait for a login's hash.")
    base_url: str = Field(
        default="http://127.0.0.1:3000",
        json_schema_extra=_in_production(),
        description="URL at which users reach Vaultr; links in emails begin with it.",
    )
    cors_origins: CommaList = Field(
        default=(), description="Origins whose pages may use the API, separated by commas."
    )
    allowed_hosts: CommaList = Field(
        default=(), description="Host names of the server; default: the host of BASE_URL."
    )
    trusted_proxies: TrustedProxies = Field(
        default=TrustedProxies(),
        description="Proxies whose forwarded headers are trusted: their number, or their networks.",
    )
    jwt_secret: KeySet = Field(json_schema_extra=_in_production(), description="Signs tokens.")
    pepper: KeySet = Field(json_schema_extra=_in_production(), description="Peppers verifiers.")
    factor_key: KeySet = Field(json_schema_extra=_in_production(), description="Seals factors.")
    mail_key: KeySet = Field(json_schema_extra=_in_production(), description="Seals the outbox.")
    audit_key: KeySet = Field(
        json_schema_extra=_in_production(), description="Authenticates audit events."
    )
    checkpoint_key: KeySet | None = Field(
        default=None,
        description="Ed25519 seed that signs checkpoints; only the sequencer needs it.",
    )
    audit_state_file: Path | None = Field(
        default=None, description="The signer's last checkpoint; in VAULTR_HOME in development."
    )
    audit_anchors: CommaList = Field(
        default=(),
        description="Where checkpoints are copied: file:, syslog:, s3: or witness+https: URLs.",
    )
    audit_witness_keys: CommaList = Field(
        default=(), description="Verification keys of the witnesses in AUDIT_ANCHORS."
    )
    audit_lag_warn: int = Field(
        default=10, ge=1, description="Seconds of audit lag after which `flask doctor` warns."
    )
    audit_lag_degraded: int = Field(
        default=60, ge=1, description="Seconds of audit lag after which readiness is degraded."
    )
    audit_lag_refuse: int = Field(
        default=900, ge=1, description="Seconds of audit lag after which changes are rejected."
    )
    audit_retention_months: int = Field(
        default=0, ge=0, description="Months after which audit trees may be pruned; 0 is never."
    )
    audit_detail: Literal["off", "on"] = Field(
        default="off", description="`on` records full client address and user agent."
    )
    audit_stream: str | None = Field(
        default=None, description="Where sequenced events are copied: `stdout` or a syslog: URL."
    )
    smtp_host: str | None = Field(
        default=None,
        json_schema_extra=_in_production(),
        description="Mail server; without it, emails are files in VAULTR_HOME/mail.",
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_user: str | None = Field(default=None, description="User name for the mail server.")
    smtp_pass: SecretStr | None = Field(default=None, description="Password for the mail server.")
    smtp_from: str = Field(default="vaultr@localhost", description="Sender of all emails.")
    smtp_secure: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="TLS mode; `none` is allowed for loopback hosts only."
    )
    smtp_ca_file: Path | None = Field(
        default=None, description="File of CA certificates to trust for the mail server."
    )
    statsd_host: str | None = Field(
        default=None, description="StatsD server: host, or host and port."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of /metrics; 0 is off. `flask worker` on the same machine needs another.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of /metrics.")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UpperCase] = Field(
        default="INFO", description="Lowest level that is logged to stdout."
    )
    breach_upstream_url: str | None = Field(
        default=None,
        description="Breached password hashes by range: https: URL, or file: URL of a sorted list.",
    )
    background: Literal["inline", "process"] = Field(
        default="inline", description="Where background jobs run; `process` is `flask worker`."
    )
    session_binding: Literal["loose", "strict"] = Field(
        default="loose", description="`strict` ends a session that is used from another network."
    )
    ready_requires: CommaList = Field(
        default=("redis",), description="What readiness requires besides the database, or `none`."
    )
    ready_redis_grace: int = Field(
        default=30, ge=0, description="Seconds without Redis after which a pod is not ready."
    )
    step_up_seconds: int = Field(
        default=300, ge=1, le=3600, description="Seconds that a step-up is valid."
    )
    access_token_seconds: int = Field(
        default=600, ge=1, le=600, description="Lifetime of an access token in seconds."
    )
    backup_location: str | None = Field(
        default=None, description="Folder of backups, or s3://BUCKET/PREFIX."
    )
    backup_recipient: str | None = Field(
        default=None, description="age public keys that seal backups, separated by commas."
    )
    backup_identity_file: Path | None = Field(
        default=None, description="age key that opens backups; not for who makes them."
    )
    backup_scratch_url: DatabaseUrl | None = Field(
        default=None, description="PostgreSQL URL of a role that may create scratch databases."
    )
    limit_login_account: Rate = Field(default=Rate(5, 900), description="By account or device.")
    limit_login_address: Rate = Field(default=Rate(20, 900), description="By client address.")
    lockout_failures: int = Field(default=100, ge=10, le=100, description="Failures in a row.")
    lockout_seconds: int = Field(default=900, ge=900, le=86_400, description="First; it doubles.")
    lockout_max_seconds: int = Field(default=86_400, ge=900, le=86_400, description="The longest.")
    limit_signup: Rate = Field(default=Rate(50, 3600), description="By client address.")
    limit_refresh: Rate = Field(default=Rate(6, 60), description="By session.")
    limit_mail: Rate = Field(default=Rate(5, 3600), description="By recipient and kind of email.")
    limit_mail_owner: Rate = Field(
        default=Rate(1, 3600), description="Notices of a signup with an owner's address."
    )
    limit_mail_account: Rate = Field(
        default=Rate(5, 3600), description="Emails to new addresses, by account."
    )
    limit_hashes: Rate = Field(default=Rate(10, 60), description="By account, for its sessions.")
    limit_writes: Rate = Field(
        default=Rate(600, 60), description="By session or machine; by account: ACCOUNT_FACTOR."
    )
    limit_reads: Rate = Field(
        default=Rate(3000, 60), description="By session or machine; by account: ACCOUNT_FACTOR."
    )
    account_factor: int = Field(
        default=3, ge=1, description="Multiplies LIMIT_WRITES and LIMIT_READS for an account."
    )
    limit_anonymous: Rate = Field(default=Rate(600, 60), description="By client address.")
    limit_changes: Rate = Field(default=Rate(100_000, 86_400), description="By vault.")
    large_body_seconds: int = Field(
        default=10, ge=1, description="To receive a body above 1 MiB; then it is rejected."
    )
    large_body_wait_seconds: int = Field(
        default=1, ge=1, le=60, description="How long a body above 1 MiB may wait for its turn."
    )
    page_bytes: int = Field(
        default=sizes.PAGE_BYTES, ge=2**17, le=sizes.PAGE_BYTES, description="Bytes of a page."
    )
    audit_page_events: int = Field(
        default=2_000, ge=200, description="Events that a page looks at to find a machine's."
    )
    quota_sessions: int = Field(default=50, ge=1, description="Live sessions of an account.")
    quota_refreshes: int = Field(
        default=10_000, ge=100, description="Refreshes of a session; the hourly purge ends it then."
    )
    quota_devices: int = Field(default=100, ge=1, description="Known devices of an account.")
    quota_items: int = Field(
        default=sizes.ITEMS_PER_VAULT, ge=1, description="Maximum number of items in a vault."
    )
    quota_item_bytes: int = Field(
        default=sizes.ITEM_BYTES, ge=1024, description="Maximum sealed bytes of one item."
    )
    quota_vault_bytes: int = Field(
        default=sizes.VAULT_BYTES, ge=1024, description="Maximum sealed bytes of a vault."
    )
    quota_vaults: int = Field(
        default=sizes.VAULTS_PER_ACCOUNT, ge=1, description="Vaults of an account."
    )
    quota_machines: int = Field(
        default=sizes.MACHINES_PER_ACCOUNT, ge=1, description="Machines of an account."
    )

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        :raises InvalidSettings: all problems together, by name and without values.
        """
        names = {name.upper() for name in cls.model_fields}
        values, problems = loader.read(variables, names)
        loader.add_defaults(values, problems)
        values = {name.lower(): text for name, text in values.items()}
        unread = {problem.partition(":")[0].removesuffix("_FILE") for problem in problems}
        settings, found = cls._validated(values)
        found = [problem for problem in found if problem.partition(":")[0] not in unread]
        unread |= {problem.partition(":")[0] for problem in found}
        if settings is None:
            # Run the cross checks anyway, with valid stand-ins for the invalid settings.
            stand_in = {"database_url": "postgresql://", **loader.generate_keys("x")}
            required = {n.lower(): t for n, t in stand_in.items() if n != types.CHECKPOINT_KEY}
            valid = {n: text for n, text in values.items() if n.upper() not in unread}
            settings, _ = cls._validated({**required, **valid})
        problems += found + cross_checks.problems(settings, unread=unread)
        if problems or settings is None:
            raise InvalidSettings(sorted(set(problems)))
        return settings._with_authorities()

    @classmethod
    def _validated(cls, values: dict[str, str]) -> tuple[Self | None, list[str]]:
        try:
            return cls.model_validate(values, context=_FIELDS_ALONE), []
        except ValidationError as error:
            return None, [_sentence(one) for one in error.errors(include_url=False)]

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        if info.context is not _FIELDS_ALONE and (problems := cross_checks.problems(self)):
            raise ValueError("\n".join(problems))
        return self

    def _with_authorities(self) -> Self:
        """Put DATABASE_CA or PRIVATE_CA into a file: libpq reads authorities from files only."""
        authorities = self.database_ca or self.private_ca
        names = [
            name
            for name in ("database_url", "migration_database_url", "backup_scratch_url")
            if self.database_ca is not None or types.verifies(getattr(self, name))
        ]
        if authorities is None or not names:
            return self
        try:
            path = private_files.stored(self.vaultr_home, "database-ca", authorities)
        except OSError as error:
            setting = "PRIVATE_CA" if self.database_ca is None else "DATABASE_CA"
            problem = f"VAULTR_HOME: cannot store {setting} there: {error.strerror}"
            raise InvalidSettings([problem]) from None
        urls = {name: types.trusting(getattr(self, name), path.absolute()) for name in names}
        return self.model_copy(update=urls)

    def tls_context(self, *, only: Path | None = None) -> ssl.SSLContext:
        """Return a context that trusts the public authorities and those in PRIVATE_CA.

        :param only: a file whose authorities are trusted instead.
        """
        context = ssl.create_default_context(cafile=only)
        if only is None and self.private_ca is not None:
            context.load_verify_locations(cadata=self.private_ca)
        return context

    @property
    def production(self) -> bool:
        """Whether the server runs in production, where weaker settings are rejected."""
        return self.vaultr_env == "production"

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The host names that the server accepts."""
        names = self.allowed_hosts or (urlsplit(self.base_url).hostname or "",)
        return frozenset(name.lower() for name in names)

    @property
    def max_waiting_logins(self) -> int:
        """Return how many logins of one worker may wait for a hash; further ones get `busy`."""
        few = min(3, self.web_threads - 1)  # two users, besides a stranger and an account
        return self.login_queue or max(few, self.web_threads // 2)

    @property
    def max_parallel_requests(self) -> int:
        """Return how many requests of one account a worker answers at the same time."""
        return self.parallel_requests or max(1, self.web_threads // 2)

    def for_flask(self) -> dict[str, Any]:
        """Return Flask's own configuration; packages configure their own extensions."""
        return {
            "SETTINGS": self,
            "MAX_CONTENT_LENGTH": None,
            "PROPAGATE_EXCEPTIONS": False,
            "TRAP_HTTP_EXCEPTIONS": False,
        }


def current_settings() -> Settings:
    """Return the settings of the running server."""
    return cast(Settings, current_app.config["SETTINGS"])


def _sentence(error: Any) -> str:
    name = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{name}: required"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"
