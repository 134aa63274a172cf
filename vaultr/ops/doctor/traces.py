"""Looks at whether spans reach the collector that OTEL_* names."""

from collections.abc import Iterator, Mapping
from typing import Final

from vaultr.observability.tracing import spans
from vaultr.ops.check_result import Finding, ok, problem

SECONDS: Final = 3.0
_ADVICE: Final = "Traces alone are missing; see docs/deployment.md, Traces."


def check(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Check whether traces are told; nothing where nobody wants any."""
    if not spans.wanted(variables):
        return
    if (reason := spans.problem(variables)) is not None:
        yield problem("traces", reason, _ADVICE)
    elif spans.is_reachable(SECONDS):
        yield ok("traces", "the collector takes spans")
    else:
        yield problem("traces", "the collector takes no spans", _ADVICE)
