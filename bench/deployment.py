"""`make bench`: the ECS web task compared with a pod of the chart, with their own settings.

Both run with their numbers of processes and threads and, if cgroups allow it, with their memory as
a hard limit. Rounds are interleaved; each one starts both servers and reads items over eight
connections.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import yaml

from bench import load
from bench.cases import CONNECTIONS
from bench.installation import installed
from bench.table import print_ratios
from bench.world import Account, Vault
from tests.harness.first_hour_site import Site
from tests.harness.pod_memory import limited
from tests.rollout import aws, tools


@dataclass(frozen=True, slots=True)
class Shape:
    """The processes, threads and memory with which a deployment runs the server."""

    processes: int
    threads: int
    mebibytes: int


def shapes() -> tuple[Shape, Shape]:
    """Return the shapes of the web task of ECS and of the chart's pod, from their files."""
    parameters = aws.template("app")["Parameters"]
    task = aws.resources("app", "ECS::TaskDefinition")["WebTask"]
    values = yaml.safe_load((tools.CHART / "values.yaml").read_text())
    memory = values["web"].get("resources", values.get("resources"))["limits"]["memory"]
    assert memory.endswith("Gi")
    return (
        Shape(
            parameters["WebConcurrency"]["Default"],
            parameters["WebThreads"]["Default"],
            int(task["Memory"]),
        ),
        Shape(values["web"]["concurrency"], values["web"]["threads"], int(memory[:-2]) * 1024),
    )


def measured(site: Site, ann: Account, vault: Vault, shape: Shape, seconds: float) -> tuple:
    """Return the reads per second of a server of this shape, and the seconds until it is ready."""
    own = {"WEB_CONCURRENCY": str(shape.processes), "WEB_THREADS": str(shape.threads)}
    site.environ |= own
    with limited(shape.mebibytes) as within:
        site.within = tuple(within)
        began = time.monotonic()
        site.start()
        ready = time.monotonic() - began
        ann.sign_in()
        reads = [ann.read(f"/api/v1/vaults/{vault.id}/items/{item}") for item in vault.items]
        seen = load.run(site.port, [reads] * CONNECTIONS, seconds=seconds)
        site.stop()
    assert set(seen.statuses) == {200}, seen.statuses
    return seen.rate(200), ready


def main() -> None:
    """Measure, and print one line for each ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.deployment", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (3)")
    options = parser.parse_args()
    task, pod = shapes()
    print(f"task of ECS: {task}\npod of the chart: {pod}", file=sys.stderr)
    rows: list[tuple[str, str, float]] = []
    with installed() as site:
        site.start()
        ann = Account.make(site, "ann@example.org")
        vault = Vault.make(ann, items=100)
        site.stop()
        for turn in range(options.rounds):
            print(f"round {turn + 1} …", file=sys.stderr)
            # Let each of the two begin in every second round, so that the order favours neither.
            order = (task, pod) if turn % 2 else (pod, task)
            found = {id(one): measured(site, ann, vault, one, options.seconds) for one in order}
            (rate, ready), (other_rate, other_ready) = found[id(task)], found[id(pod)]
            rows += [
                ("reads of items: task of ECS / pod of the chart", "≥ 0.95", rate / other_rate),
                ("start to ready: task of ECS / pod of the chart", "≤ 1.2", ready / other_ready),
            ]
    print_ratios(rows)


if __name__ == "__main__":
    main()
