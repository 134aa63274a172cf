"""Rate the severity of an unencrypted connection."""

from collections.abc import Callable

from vaultr.ops.check_result import CheckResult, problem, warning


def severity(host: str | None, *, production: bool) -> Callable[[str, str, str], CheckResult]:
    """Return the kind of result for an unencrypted connection to ``host``.

    A name without a dot, such as ``postgres`` in docker-compose.yml, is in a container network on
    the same machine, so it gets only a warning.
    """
    neighbour = bool(host) and not {".", ":"} & set(host or "")
    return problem if production and not neighbour else warning
