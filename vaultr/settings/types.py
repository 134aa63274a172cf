"""Types of settings and how they are written: files, lists, rates, keyrings, URLs."""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import core_schema

from vaultr.protocol.encoding import unb64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
KEY_SETS = ("JWT_SECRET", "PEPPER", "FACTOR_KEY", "MAIL_KEY", "AUDIT_KEY")
CHECKPOINT_KEY = "CHECKPOINT_KEY"
DEVELOPMENT = "dev"  # id of keys that a server generated for itself; not for production
PLAIN = "default"  # id of a plain value, which in a keyring is written as base64url of its bytes
_KEY_BYTES = 32
_SQLITE = "sqlite:///"
_TELLING = re.compile(rb"change.?me|example|secret|password|default", re.I)
_NAMED_KEY = re.compile(r"([A-Za-z0-9._-]{1,64}):(\S*)")
# Accepted parameters of a PostgreSQL URL; tables are in `public`, as many URLs say.
_OUR_SCHEMA = ("schema", "public")
_NUMBERS = {"pool_size", "max_overflow", "connect_timeout"}
_PARAMETERS = _NUMBERS | {
    "application_name", "host", "options", "prepare", "sslcert", "sslkey", "sslmode", "sslrootcert",
    "target_session_attrs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a number of seconds, written ``5/900``."""

    count: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}"

    @classmethod
    def parse(cls, value: object) -> "Rate":
        """Parse ``count/seconds``, both integers of at least 1."""
        if isinstance(value, Rate):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,7})", str(value))
        if match is None:
            raise ValueError("write it as count/seconds, such as 5/900")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """A secret that can rotate: keys by id; the first one signs and seals."""

    by_id: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.by_id)})"

    @classmethod
    def parse(cls, value: object) -> "Keys":
        """Parse ``<id>:<base64url of 32 bytes>``, on lines or between commas, or a plain value.

        A plain value is one key named ``default``: its UTF-8 bytes, at least 32. A value that
        begins
        like ``<id>:`` is never plain, so that a typo in a keyring is not taken for a password.
        """
        if isinstance(value, Keys):
            return value
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
        pairs = [_NAMED_KEY.fullmatch(part) for part in parts]
        if not any(pairs):
            return cls({PLAIN: _strong(text.strip().encode())})
        keys: dict[str, bytes] = {}
        for pair in pairs:
            if pair is None:
                raise ValueError("write every key of a keyring as <id>:<base64url of 32 bytes>")
            if pair[1] in keys:
                raise ValueError("two keys have the same id")
            keys[pair[1]] = _strong(_decoded(pair[2], plain=pair[1] == PLAIN))
        if len(set(keys.values())) < len(keys):
            raise ValueError("two ids have the same key")
        return cls(keys)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)


def _decoded(text: str, *, plain: bool) -> bytes:
    try:
        key = unb64(text)
    except ValueError:
        raise ValueError("a key must be base64url of 32 bytes without padding") from None
    if len(key) != _KEY_BYTES and not plain:
        raise ValueError("a key must have exactly 32 bytes")
    return key


def _strong(key: bytes) -> bytes:
    if len(key) < _KEY_BYTES:
        raise ValueError("must have at least 32 bytes; `flask keys generate` prints a complete set")
    # Of 32 random characters out of 16, fewer than 8 are different about once in 10^9 times.
    repeated = any(key[period:] == key[:-period] for period in range(1, 17))
    counting = len({(second - first) % 256 for first, second in pairwise(key)}) < 6
    if len(set(key)) < 8 or repeated or counting or _TELLING.search(key):
        raise ValueError("must be random; `flask keys generate` prints a complete set")
    return key


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies in front: their number, or the networks from which they connect."""

    hops: int = 0
    networks: tuple[Network, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hops or self.networks)

    def __str__(self) -> str:
        return ",".join(map(str, self.networks)) or str(self.hops)

    @classmethod
    def parse(cls, value: object) -> "TrustedProxies":
        """Parse a number from 0 to 8, or networks such as ``10.0.0.0/8,fd00::/8``."""
        if isinstance(value, TrustedProxies):
            return value
        text = str(value).strip()
        if re.fullmatch(r"[0-8]", text):
            return cls(hops=int(text))
        try:
            parts = [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]
        except ValueError:
            parts = []
        if not parts or any(part.prefixlen == 0 for part in parts):
            raise ValueError("a number from 0 to 8, or networks such as 10.0.0.0/8,fd00::/8")
        return cls(networks=tuple(parts))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)


def _commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _driver(value: SecretStr) -> SecretStr:
    """Add the driver: SQLAlchemy 2.1 reads a plain ``postgresql://`` as psycopg 3."""
    text = value.get_secret_value()
    if text.startswith(_SQLITE):
        return SecretStr(f"{_SQLITE}{Path(text.removeprefix(_SQLITE)).absolute()}")
    try:
        parts = urlsplit(text)
        whole = parts.port != 0 and "@" not in parts.query
    except ValueError:  # its message would contain the URL
        whole = False
    if not whole:
        raise ValueError("not a URL; percent-encode characters such as / @ # ? in the password")
    if parts.scheme not in ("postgres", "postgresql", "postgresql+psycopg2"):
        raise ValueError("must begin with postgresql:// (or sqlite:/// to try Vaultr)")
    if parts.fragment:
        raise ValueError("write # in the password as %23")
    query = [(name, one) for name, one in parse_qsl(parts.query) if (name, one) != _OUR_SCHEMA]
    unknown = sorted({name for name, _ in query} - _PARAMETERS)
    if unknown:
        raise ValueError(f"unknown parameters: {', '.join(unknown)}")
    if any(name in _NUMBERS and not re.fullmatch(r"[0-9]{1,4}", one) for name, one in query):
        raise ValueError(f"{', '.join(sorted(_NUMBERS))} must be integers")
    if not {one for name, one in query if name == "prepare"} <= {"on", "off"}:
        raise ValueError("prepare must be on or off")
    return SecretStr(
        urlunsplit(("postgresql+psycopg2", parts.netloc, parts.path, urlencode(query), ""))
    )


def verifies(url: SecretStr | None) -> bool:
    """Return whether a connection to this database verifies the certificate of its server."""
    query = {} if url is None else dict(parse_qsl(urlsplit(url.get_secret_value()).query))
    return query.get("sslmode") in ("verify-ca", "verify-full")


def trusting(url: SecretStr | None, authorities: Path) -> SecretStr | None:
    """Return the URL of a database whose server must show a certificate of these authorities."""
    if url is None or "sslrootcert=" in url.get_secret_value():
        return url
    if url.get_secret_value().startswith(_SQLITE):
        return url
    parts = urlsplit(url.get_secret_value())
    query = {"sslmode": "verify-full"} | dict(parse_qsl(parts.query))
    query["sslrootcert"] = str(authorities)
    return SecretStr(urlunsplit(parts._replace(query=urlencode(query))))


def _redis(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        _ = parts.port
    except ValueError:  # its message would contain the URL
        raise ValueError("not a URL") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return value


def _certificates(value: str) -> str:
    try:
        ssl.create_default_context(cadata=value)
    except (ssl.SSLError, ValueError):
        raise ValueError("must be certificates in PEM format") from None
    return value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], BeforeValidator(_commas)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_driver)]
Certificates = Annotated[str, AfterValidator(_certificates)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis)]
KeySet = Keys
UpperCase = BeforeValidator(_upper)


def loopback(host: str) -> bool:
    """Return whether a host name is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_and_port(bind: str) -> tuple[str, str]:
    """Split an address to listen on; the port is empty if it has none, as in ``::1``."""
    host, colon, port = bind.rpartition(":")
    bare_ipv6 = host.count(":") > 0 and not bind.startswith("[")
    return (host, port) if colon and not bare_ipv6 and "]" not in port else (bind, "")
