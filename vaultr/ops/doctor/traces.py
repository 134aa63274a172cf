"""Check whether the collector that OTEL_* configures accepts spans."""

from collections.abc import Iterator, Mapping
from typing import Final

from vaultr.observability.tracing import spans
from vaultr.ops.check_result import CheckResult, ok, problem

SECONDS: Final = 3.0
_ADVICE: Final = "Only traces are missing; see docs/deployment.md, Traces."


def check(variables: Mapping[str, str]) -> Iterator[CheckResult]:
    """Check whether traces are exported; return no result if they are not configured."""
    if not spans.wanted(variables):
        return
    if (reason := spans.problem(variables)) is not None:
        yield problem("traces", reason, _ADVICE)
    elif spans.is_reachable(SECONDS):
        yield ok("traces", "the collector accepts spans")
    else:
        yield problem("traces", "the collector does not accept spans", _ADVICE)
