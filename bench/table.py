"""The table of ratios that each bench prints at its end."""

import statistics
from collections.abc import Iterable


def print_ratios(rows: Iterable[tuple[str, str, float]]) -> None:
    """Print median, minimum and maximum of each ratio.

    :param rows: name, goal and one value; each round has one row for each name.
    """
    seen: dict[tuple[str, str], list[float]] = {}
    for name, goal, value in rows:
        seen.setdefault((name, goal), []).append(value)
    print(f"{'ratio':52} {'goal':>14} {'median':>8} {'min':>6} {'max':>6}")
    for (name, goal), values in seen.items():
        figures = f"{statistics.median(values):8.2f} {min(values):6.2f} {max(values):6.2f}"
        print(f"{name:52} {goal:>14} {figures}")
