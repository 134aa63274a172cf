"""All settings of the server, one field for each. Nothing else reads the environment."""

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
    ValidationInfo,
    model_validator,
)

from vaultr.protocol import sizes
from vaultr.settings import cross_checks, environment
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


def _in_production() -> dict[str, Any]:
    return {"required_in_production": True}


def _limit(
    default: Rate | int, description: str, *, ge: int | None = None, le: int | None = None
) -> Any:
    return Field(default=default, description=description, ge=ge, le=le)


class Settings(BaseModel):
    """The settings of one server. Each field is read from ``<NAME>`` or ``<NAME>_FILE``."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )

    vaultr_env: Literal["development", "production"] = Field(
        default="development",
        description="`production` rejects settings that are safe only for trying Vaultr out.",
    )
    vaultr_home: Path = Field(
        default=Path("var"),
        description="Folder for files of the server, such as the SQLite database and emails.",
    )
    database_url: DatabaseUrl = Field(
        json_schema_extra=_in_production(),
        description="PostgreSQL URL; accepts `?pool_size=`, `?max_overflow=`, `?prepare=off`.",
    )
    migration_database_url: DatabaseUrl | None = Field(
        default=None,
        description="PostgreSQL URL of the role that owns the tables; `flask db` uses it.",
    )
    database_ca: Certificates | None = Field(
        default=None,
        description="Certificates (PEM) of the authorities that sign PostgreSQL's certificate.",
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        json_schema_extra=_in_production(),
        description="Redis URL; Redis counts requests for the rate limits.",
    )
    redis_ca: Certificates | None = Field(
        default=None,
        description="Certificates (PEM) of the authorities that sign Redis' certificate.",
    )
    private_ca: Certificates | None = Field(
        default=None,
        description="Certificates (PEM) of authorities to trust besides the public ones: for"
        " BASE_URL, mail, PostgreSQL, Redis, witnesses and buckets.",
    )
    port: int = Field(default=3000, ge=1, le=65535, description="Port to listen on.")
    bind: str = Field(
        default="", description="Address to listen on; the default depends on VAULTR_ENV."
    )
    drain_seconds: int = Field(
        default=5, ge=0, le=24, description="Seconds to keep serving requests after SIGTERM."
    )
    web_concurrency: int = Field(
        default_factory=lambda: min(4, len(os.sched_getaffinity(0))),
        ge=1,
        le=64,
        description="Server processes (gunicorn's workers); must be 1 without REDIS_URL.",
    )
    web_threads: int = Field(
        default=16, ge=2, le=128, description="Threads of each server process."
    )
    parallel_requests: int | None = Field(
        default=None,
        ge=1,
        description="Parallel requests of an account in each process; default: half the threads.",
    )
    login_queue: int | None = Field(
        default=None,
        ge=1,
        description="Logins in each process that may wait for a hash; default: half the threads.",
    )
    login_wait_seconds: int = Field(
        default=3,
        ge=1,
        le=60,
        description="Seconds that a login may wait for its hash before it is rejected.",
    )
    base_url: str = Field(
        default="http://127.0.0.1:3000",
        json_schema_extra=_in_production(),
        description="URL at which users reach Vaultr; links in emails begin with it.",
    )
    cors_origins: CommaList = Field(
        default=(), description="Origins whose pages may use the API, separated by commas."
    )
    allowed_hosts: CommaList = Field(
        default=(), description="Host names that the server accepts; default: the host of BASE_URL."
    )
    trusted_proxies: TrustedProxies = Field(
        default=TrustedProxies(),
        description="Proxies whose forwarded headers are trusted: their number, or their networks.",
    )
    jwt_secret: KeySet = Field(
        json_schema_extra=_in_production(), description="Key that signs access tokens."
    )
    pepper: KeySet = Field(
        json_schema_extra=_in_production(),
        description="Key that protects the stored password verifiers (a pepper).",
    )
    factor_key: KeySet = Field(
        json_schema_extra=_in_production(),
        description="Key that seals the secrets of second factors.",
    )
    mail_key: KeySet = Field(
        json_schema_extra=_in_production(), description="Key that seals emails until they are sent."
    )
    audit_key: KeySet = Field(
        json_schema_extra=_in_production(), description="Key that authenticates audit events."
    )
    checkpoint_key: KeySet | None = Field(
        default=None,
        description="Ed25519 seed that signs checkpoints; only the sequencer needs it.",
    )
    audit_state_file: Path | None = Field(
        default=None,
        description="The sequencer's last signed checkpoint; in development it is in VAULTR_HOME.",
    )
    audit_anchors: CommaList = Field(
        default=(),
        description="Where checkpoints are copied: file:, syslog:, s3: or witness+https: URLs.",
    )
    audit_witness_keys: CommaList = Field(
        default=(), description="Verification keys of the witnesses in AUDIT_ANCHORS."
    )
    audit_lag_warn: int = Field(
        default=10,
        ge=1,
        description="Seconds an event may lack a checkpoint before `flask doctor` warns.",
    )
    audit_lag_degraded: int = Field(
        default=60,
        ge=1,
        description="Seconds an event may lack a checkpoint before readiness is degraded.",
    )
    audit_lag_refuse: int = Field(
        default=900,
        ge=1,
        description="Seconds an event may lack a checkpoint before changes are rejected.",
    )
    audit_retention_months: int = Field(
        default=0, ge=0, description="Months after which audit trees may be pruned; 0 means never."
    )
    audit_detail: Literal["off", "on"] = Field(
        default="off", description="`on` records the full client address and user agent."
    )
    audit_stream: str | None = Field(
        default=None, description="Where sequenced events are copied: `stdout` or a syslog: URL."
    )
    smtp_host: str | None = Field(
        default=None,
        json_schema_extra=_in_production(),
        description="Mail server; without it, emails are written to files in VAULTR_HOME/mail.",
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_user: str | None = Field(default=None, description="User name for the mail server.")
    smtp_pass: SecretStr | None = Field(default=None, description="Password for the mail server.")
    smtp_from: str = Field(default="vaultr@localhost", description="Sender of all emails.")
    smtp_secure: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="TLS mode; `none` is allowed for loopback hosts only."
    )
    smtp_ca_file: Path | None = Field(
        default=None,
        description="File with the CA certificates to trust for the mail server, and no others.",
    )
    statsd_host: str | None = Field(
        default=None, description="StatsD server: host, or host and port."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of /metrics, 0 for none. A worker on the same machine needs another one.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address on which /metrics listens.")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UpperCase] = Field(
        default="INFO", description="Lowest level that is logged to stdout."
    )
    breach_upstream_url: str | None = Field(
        default=None,
        description="Breached password hashes: an https: URL, or the file: URL of a sorted list.",
    )
    background: Literal["inline", "process"] = Field(
        default="inline",
        description="Where jobs run: `inline` in the server, or `process` in `flask worker`.",
    )
    session_binding: Literal["loose", "strict"] = Field(
        default="loose", description="`strict` ends a session that is used from another network."
    )
    ready_requires: CommaList = Field(
        default=("redis",),
        description="What a pod needs besides the database to be ready: `redis` or `none`.",
    )
    ready_redis_grace: int = Field(
        default=30, ge=0, description="Seconds without Redis after which a pod is not ready."
    )
    step_up_seconds: int = Field(
        default=300, ge=1, le=3600, description="Seconds for which a step-up is valid."
    )
    access_token_seconds: int = Field(
        default=600, ge=1, le=600, description="Lifetime of an access token in seconds."
    )
    backup_location: str | None = Field(
        default=None, description="Where backups are stored: a folder, or s3://BUCKET/PREFIX."
    )
    backup_recipient: str | None = Field(
        default=None, description="age public keys that seal backups, separated by commas."
    )
    backup_identity_file: Path | None = Field(
        default=None,
        description="File with the age key that opens backups; for verify, drill and restore.",
    )
    backup_scratch_url: DatabaseUrl | None = Field(
        default=None, description="PostgreSQL URL of a role that may create scratch databases."
    )
    limit_login_account: Rate = _limit(
        Rate(5, 900), "Wrong passwords per account; each known device has its own count."
    )
    limit_login_address: Rate = _limit(Rate(20, 900), "Wrong passwords per client address.")
    lockout_failures: int = _limit(
        100,
        "Wrong passwords in a row after which logins are locked out for a while.",
        ge=10,
        le=100,
    )
    lockout_seconds: int = _limit(
        900, "Seconds of the first lockout; each further one is twice as long.", ge=900, le=86_400
    )
    lockout_max_seconds: int = _limit(86_400, "Seconds of the longest lockout.", ge=900, le=86_400)
    limit_signup: Rate = _limit(Rate(50, 3600), "Signups per client address.")
    limit_refresh: Rate = _limit(Rate(6, 60), "Refreshes of the access token per session.")
    limit_mail: Rate = _limit(
        Rate(5, 3600), "Emails per recipient and kind, such as verification or recovery."
    )
    limit_mail_owner: Rate = _limit(
        Rate(1, 3600), "Emails to an owner that report a signup with the same address."
    )
    limit_mail_account: Rate = _limit(
        Rate(5, 3600),
        "Emails per account to new addresses, when its owner changes the email address.",
    )
    limit_hashes: Rate = _limit(
        Rate(10, 60), "Password checks per account by its sessions, such as for step-ups."
    )
    limit_writes: Rate = _limit(
        Rate(600, 60),
        "Writes per session or machine; an account may make ACCOUNT_FACTOR times as many.",
    )
    limit_reads: Rate = _limit(
        Rate(3000, 60),
        "Reads per session or machine; an account may make ACCOUNT_FACTOR times as many.",
    )
    account_factor: int = _limit(
        3, "How many times LIMIT_WRITES and LIMIT_READS apply to an account as a whole.", ge=1
    )
    limit_anonymous: Rate = _limit(
        Rate(600, 60), "Requests without a valid session, per client address."
    )
    limit_changes: Rate = _limit(
        Rate(100_000, 86_400), "Changes per vault; each change of a batch counts."
    )
    large_body_seconds: int = _limit(10, "Seconds in which a body above 1 MiB must arrive.", ge=1)
    large_body_wait_seconds: int = _limit(
        1, "Seconds that a body above 1 MiB may wait while another one is read.", ge=1, le=60
    )
    page_bytes: int = _limit(
        sizes.PAGE_BYTES,
        "Bytes of items or events in one page of a response.",
        ge=2**17,
        le=sizes.PAGE_BYTES,
    )
    audit_page_events: int = _limit(
        2_000, "Events of an account to search for one page of a machine's events.", ge=200
    )
    quota_sessions: int = _limit(
        50, "Sessions per account; a further login ends the session that was idle longest.", ge=1
    )
    quota_refreshes: int = _limit(
        10_000,
        "Refreshes per session; the hourly purge ends a session that has used them up.",
        ge=100,
    )
    quota_devices: int = _limit(
        100, "Known devices per account; a further device replaces the oldest.", ge=1
    )
    quota_items: int = _limit(
        sizes.ITEMS_PER_VAULT, "Items per vault, including those in the trash.", ge=1
    )
    quota_item_bytes: int = _limit(sizes.ITEM_BYTES, "Sealed bytes per item.", ge=1024)
    quota_vault_bytes: int = _limit(
        sizes.VAULT_BYTES,
        "Sealed bytes of items per vault; earlier versions may take as much again.",
        ge=1024,
    )
    quota_vaults: int = _limit(sizes.VAULTS_PER_ACCOUNT, "Vaults per account.", ge=1)
    quota_machines: int = _limit(
        sizes.MACHINES_PER_ACCOUNT, "Machines per account, including those that have expired.", ge=1
    )

    @classmethod
    def from_environ(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        :raises InvalidSettings: all problems together, by name and without values.
        """
        return environment.read(cls, variables)

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        if info.context is not environment.FIELDS_ALONE and (
            problems := cross_checks.problems(self)
        ):
            raise ValueError("\n".join(problems))
        return self

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
