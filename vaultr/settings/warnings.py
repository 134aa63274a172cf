"""Find settings that are valid but probably a mistake; `flask check` lists them."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from vaultr.settings.types import host_and_port, loopback

_SHORT_SECONDS: Final = 60
_SIMILAR: Final = 0.8
_SHORTEST_NAME: Final = 5
# Variables that look like misspelled settings, but are not.
_OTHERS: Final = frozenset({"DATADOG_HOST", "VAULTR_URL", "VAULTR_DIR", "REDIS_PORT", "SMTP_HELO"})


def warnings(settings: Any, variables: Mapping[str, str]) -> list[str]:
    """Return one sentence for each probable mistake, without values."""
    rules = (_tokens, _proxies, _redis, _database)
    found = [sentence for rule in rules for sentence in rule(settings)]
    names = {name.upper() for name in type(settings).model_fields}
    return [*found, *_bind(settings, variables), *_misspelled(names, variables)]


def _bind(settings: Any, variables: Mapping[str, str]) -> Iterator[str]:
    if not variables.get("BIND"):
        return
    _, port = host_and_port(settings.bind)
    if not port and not variables.get("PORT"):
        yield f"BIND: has no port; add one, or set PORT, which is {settings.port} by default"
    elif port and variables.get("PORT") and int(port) != settings.port:
        yield "BIND: has a port, so PORT has no effect; set only one of the two"


def _tokens(settings: Any) -> Iterator[str]:
    if settings.access_token_seconds < _SHORT_SECONDS:
        yield (
            "ACCESS_TOKEN_SECONDS: under 60, so clients refresh often, and LIMIT_REFRESH may reject"
            " them; set 60 or more"
        )


def _proxies(settings: Any) -> Iterator[str]:
    if settings.base_url.startswith("https:") and not settings.trusted_proxies:
        yield (
            "TRUSTED_PROXIES: 0, but BASE_URL is https, which a proxy must terminate. All clients"
            " seem to have the proxy's address; set the number of proxies"
        )


def _redis(settings: Any) -> Iterator[str]:
    if settings.redis_url is None:
        return
    url = urlsplit(settings.redis_url.get_secret_value())
    if url.scheme == "unix" or loopback(url.hostname or "localhost"):
        return
    if url.scheme == "redis":
        yield "REDIS_URL: the connection to another host is not encrypted; use rediss://"
    if not url.password:
        yield "REDIS_URL: no password, although Redis is on another host; add one"


def _database(settings: Any) -> Iterator[str]:
    for name in ("database_url", "migration_database_url"):
        secret = getattr(settings, name)
        url = urlsplit("" if secret is None else secret.get_secret_value())
        host = url.hostname or (parse_qs(url.query).get("host") or ["localhost"])[0]
        if not url.scheme.startswith("postgresql") or host.startswith("/") or loopback(host):
            continue
        if "sslmode=" not in url.query:
            yield (
                f"{name.upper()}: no sslmode, so the connection to another host may be unencrypted;"
                " add ?sslmode=verify-full"
            )


def _misspelled(names: set[str], variables: Mapping[str, str]) -> Iterator[str]:
    known = names | {f"{name}_FILE" for name in names} | _OTHERS
    for variable in sorted(variables):
        if variable in known or len(variable) < _SHORTEST_NAME or not variable.isupper():
            continue
        meant = difflib.get_close_matches(variable, sorted(names), n=1, cutoff=_SIMILAR)
        if meant:
            yield f"{variable}: no such setting; did you mean {meant[0]}?"
