"""How bad it is that a connection is not encrypted."""

from collections.abc import Callable

from vaultr.ops.check_result import Finding, problem, warning


def gravity(host: str | None, *, production: bool) -> Callable[[str, str, str], Finding]:
    """Choose the finding for a connection to ``host`` in clear.

    A name without a dot, such as ``postgres`` in docker-compose.yml, is a neighbour's on a network
    of containers, which leaves no machine there: worth knowing, no reason to call somebody.
    """
    neighbour = bool(host) and not {".", ":"} & set(host or "")
    return problem if production and not neighbour else warning
