"""Check the certificate at BASE_URL, the client address that the server sees, and the disks."""

import http.client
import ipaddress
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from vaultr.database.session import db
from vaultr.health import service as health
from vaultr.observability.multiprocess_dir import MEMORY
from vaultr.ops import certificate
from vaultr.ops.check_result import CheckResult, ok, problem, warning
from vaultr.settings.model import Settings

SECONDS: Final = 5
WARN_DAYS, LATE_DAYS = 21, 7
LOW_BYTES, LOW_SHARE = 2**30, 0.10
_FORGED: Final = "203.0.113.77"  # in a documentation network (RFC 5737)


def check_certificate(settings: Settings) -> Iterator[CheckResult]:
    """Report for how many days the certificate of BASE_URL is still valid."""
    todo = "Renew it (docs/runbook.md, VaultrCertificateEnds)."
    try:
        seen = certificate.of_url(settings.base_url, settings.tls_context())
    except certificate.CertificateUnreadable as error:
        yield problem(
            "certificate",
            f"cannot read the certificate: {error}",
            "Check that the edge runs, and that this machine can reach its port 443.",
        )
        return
    if seen is None:
        yield ok("certificate", f"none: {settings.base_url} is plain HTTP on this machine")
    elif seen.distrusted is not None:
        own = "If it is from your own authority, set PRIVATE_CA. Otherwise renew it"
        todo = f"{own} (docs/runbook.md, VaultrCertificateEnds)."
        yield problem("certificate", f"clients do not trust it: {seen.distrusted}", todo)
    elif seen.days < WARN_DAYS:
        level = problem if seen.days < LATE_DAYS else warning
        yield level("certificate", f"it expires in {seen.days:.0f} days", todo)
    else:
        yield ok("certificate", f"valid for {seen.days:.0f} days")


def check_proxy(settings: Settings, url: str) -> Iterator[CheckResult]:
    """Ask the running server which client address it sees, with and without a forged header."""
    try:
        context = settings.tls_context()
        plain, forged = _seen(url, context), _seen(url, context, claimed=_FORGED)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        yield warning(
            "proxy",
            f"{url} does not respond: {reason}",
            "Start the server, or pass its URL with --url.",
        )
        return
    if plain is None or forged is None:
        todo = "Check that --url names this server, and that it has the same JWT_SECRET."
        says = f"{url} does not accept a token signed with the keys of this command"
        yield problem("proxy", says, todo)
        return
    address, scheme = plain
    if forged[0] == _FORGED:
        todo = (
            "Lower TRUSTED_PROXIES: it trusts too many proxies, so anybody can choose an address"
            " and evade limits."
        )
        yield problem("proxy", "the server accepts a client address that the client invented", todo)
    elif urlsplit(url).scheme == "https" and scheme != "https":
        todo = "Set TRUSTED_PROXIES to your proxies, and let them send X-Forwarded-Proto."
        yield problem("proxy", f"the request used https, but the server saw {scheme}", todo)
    elif settings.production and not settings.trusted_proxies and _private(address):
        todo = (
            "If a proxy is in front, set TRUSTED_PROXIES: until then, all clients share a counter."
        )
        yield warning("proxy", f"the server sees this machine as {address}", todo)
    else:
        hops = settings.trusted_proxies
        yield ok(
            "proxy",
            f"the server sees this machine as {address} by {scheme} (TRUSTED_PROXIES={hops})",
        )


def _seen(
    url: str, context: ssl.SSLContext, *, claimed: str | None = None
) -> tuple[str, str] | None:
    headers = {health.REQUEST_HEADER: health.new_token(int(time.time()) // 60)}
    if claimed is not None:
        headers |= {"X-Forwarded-For": claimed, "Forwarded": f"for={claimed}"}
    request = urllib.request.Request(f"{url.rstrip('/')}/api/health", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, context=context) as answer:  # nosec B310 - the command accepts only http(s)
            shown = str(answer.headers.get(health.RESPONSE_HEADER, ""))
    except urllib.error.HTTPError as error:
        error.close()
        return None
    address, _, scheme = shown.partition(" ")
    return (address, scheme) if address else None


def _private(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False


def check_disk(settings: Settings) -> Iterator[CheckResult]:
    """Report the free space of the disks to which this process writes."""
    places = {"VAULTR_HOME": settings.vaultr_home}
    if db.engine.dialect.name == "sqlite":
        places["SQLite"] = Path(str(db.engine.url.database)).parent
    if settings.metrics_port:
        places["metrics"] = MEMORY
    for name, path in places.items():
        folder = next(
            (folder for folder in (path, *path.absolute().parents) if folder.is_dir()), Path("/")
        )
        usage = shutil.disk_usage(folder)
        says = f"{name} ({path}): {usage.free / 2**30:.1f} GiB free"
        if name == "metrics":
            yield ok("disk", says)
        elif usage.free < LOW_BYTES and usage.free < usage.total * LOW_SHARE:
            level = problem if name == "SQLite" else warning
            yield level("disk", says, "Free some space, or use a larger disk.")
        else:
            yield ok("disk", says)
