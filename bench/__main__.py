"""`make bench`: ratios of Vaultr to the baseline: median, minimum and maximum of all rounds."""

import argparse
import json
import sys

from bench import load
from bench.cases import Bench, median
from bench.installation import running


def main() -> None:
    """Measure all cases, and print one line for each."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (3)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--cpu", action="store_true", help="measure CPU time of the servers, on a busy machine"
    )
    options = parser.parse_args()
    if options.cpu:
        load.BY_CPU.set()
    print("starting PostgreSQL, Redis, the server and the baseline …", file=sys.stderr)
    with running() as installation:
        bench = Bench(installation, options.seconds)
        cases = [case for case in bench.cases() if options.only in case.name]
        ratios: dict[str, list[float]] = {case.name: [] for case in cases}
        for turn in range(options.rounds):
            for case in cases:
                bench.prepare()
                print(f"round {turn + 1}: {case.name} …", file=sys.stderr)
                ratios[case.name].append(case.measure())
        if options.json:
            print(json.dumps({**ratios, "worker_mebibytes": bench.memory}))
            return
        print(f"{'ratio':52} {'goal':>14} {'median':>8} {'min':>6} {'max':>6}")
        for case in cases:
            seen = ratios[case.name]
            figures = f"{median(seen):8.2f} {min(seen):6.2f} {max(seen):6.2f}"
            print(f"{case.name:52} {case.goal:>14} {figures}")
        if bench.memory:
            name = "memory of the largest worker after full syncs, MiB"
            print(f"{name:52} {'< 200':>14} {bench.memory:8.0f}")


if __name__ == "__main__":
    main()
