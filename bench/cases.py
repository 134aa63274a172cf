"""The cases to measure. Each returns its ratio to the baseline in one round."""

import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import argon2.low_level
import psutil

from bench import load
from bench.client_tools import ClientTools
from bench.growth import FEW, MANY, Growth
from bench.installation import Installation, worker_mebibytes
from bench.load import Connection, request
from bench.machine_access import MachineAccess
from bench.machine_tools import MachineTools
from bench.signing import Signing
from bench.world import Account, Vault

CONNECTIONS = 8
WRITERS = 16
FULL_ITEMS = 10_000
PAGE = 1_000
PUTS_A_ROUND = 40


@dataclass
class Case:
    """One case: ``measure`` returns the ratio of one round, ``goal`` is the target."""

    name: str
    goal: str
    measure: Callable[[], float]


class Bench:
    """The setup that all cases share."""

    def __init__(self, installation: Installation, seconds: float) -> None:
        self._installation = installation
        self._seconds = seconds
        self._ann = Account.make(installation.site, "ann@example.org")
        self._small = Vault.make(self._ann, items=100)
        self._full = Vault.make(self._ann, items=FULL_ITEMS)
        self._own = [Vault.make(self._ann, items=4) for _ in range(WRITERS)]
        # The baseline writes to other vaults, because it keeps no chain.
        self._bare = [Vault.make(self._ann, items=1) for _ in range(WRITERS)]
        self._revisions = [{item: i + 1 for i, item in enumerate(v.items)} for v in self._own]
        self._people: list[Account] = []
        self.memory = 0.0
        self._growth = Growth(installation, self._ann, seconds)
        self._machines = MachineAccess(installation, self._small, seconds)
        self._signing = Signing(installation, self._ann, seconds)
        self._tools = ClientTools(installation)
        bare = request("GET", f"/row/{self._small.id}/{self._small.items[0]}", {})
        self._jobs = MachineTools(installation, self._tools, bare, seconds)

    def cases(self) -> list[Case]:
        """Return all cases."""
        return [
            Case("read of one item / baseline's row", "≥ 0.35", self.item_read),
            Case("304 of a sync / baseline's row", "≥ 0.6", self.not_modified),
            Case("page of 20 overviews / baseline's rows", "≥ 0.45", self.overviews),
            Case("full sync of 10,000: time / baseline's rows", "≤ 1.5", self.full_sync),
            Case("PUT / bare view of the same SQL", "≥ 0.7", self.put),
            Case("PUT / plain committed INSERT", "about 0.4", self.put_against_insert),
            Case("PUT / itself without its audit event", "≥ 0.7", self.put_without_audit),
            Case("16 writers to 16 vaults / one writer", "≥ 3 on 8 cores", self.many_writers),
            Case("the same of the baseline's bare view", "", self.many_baseline_writers),
            Case("logins / argon2id alone", "≥ 0.85", self.logins),
            Case("refresh / baseline's row", "≥ 0.4", self.refreshes),
            Case("304s to 200 machines / baseline's row", "≥ 0.6", self.machine_polls),
            Case("item read by a machine / by a session", "≥ 1", self.machine_reads),
            Case("p99 of reads in a login storm / unloaded", "≤ 3", self.reads_in_a_storm),
            *self._growing(),
            *self._client_tools(),
            *self._machine_tools(),
        ]

    def _client_tools(self) -> list[Case]:
        tools = self._tools
        return [
            Case("10,000 entries of 1PUX / json.loads", "≤ 3", tools.parse),
            Case("import of 10,000 / batches of the SDK", "≤ 1.2", tools.imports),
            Case("the same by the command, in seconds", "< 60", tools.import_seconds),
            Case("its memory, in MiB", "< 200", lambda: tools.import_mebibytes),
            Case("health of 10,000 items / opening them", "≤ 2", tools.health),
            Case("ssh-keygen by our agent / by OpenSSH's", "≤ 2", tools.signatures),
            Case("git-credential get / vaultr read", "≤ 1.5", tools.credentials),
        ]

    def _machine_tools(self) -> list[Case]:
        tools = self._jobs
        return [
            Case("warm read of 50 variables / row, opening", "≤ 3", tools.warm),
            Case("cold read of 20 items / row, opening", "≤ 6", tools.cold),
            Case("value from the gateway / bare view", "≥ 0.3", tools.gateway),
            Case("export of 10,000 items: client, in MiB", "< 150", tools.export_mebibytes),
            Case("its server, in MiB", "< 150", lambda: tools.worker_mebibytes),
        ]

    def _growing(self) -> list[Case]:
        goals = {"delta of 10": "≤ 1.1"}
        return [
            Case(f"{name}, in {MANY:,} items / in {FEW}", goals.get(name, ""), measure)
            for name, measure in self._growth.cases()
        ]

    def prepare(self) -> None:
        """Renew the token, which is valid for ten minutes."""
        self._ann.sign_in()

    def item_read(self) -> float:
        """Compare reads of one item with the baseline's read of its row."""
        return self._rate(self._reads()) / self._baseline_rate()

    def not_modified(self) -> float:
        """Compare a sync that finds nothing new with the baseline's read of a row."""
        vault = self._small
        tag = json.loads(self._ask(f"/api/v1/vaults/{vault.id}"))["head"]
        path = f"/api/v1/vaults/{vault.id}/sync?since={vault.n}"
        requested = self._ann.read(path, **{"If-None-Match": f'"{tag}"'})
        seen = load.run(self._port, [[requested]] * CONNECTIONS, seconds=self._seconds)
        return seen.rate(304) / self._baseline_rate()

    def overviews(self) -> float:
        """Compare a page of 20 overviews with the baseline's read of the same rows."""
        page = f"/api/v1/vaults/{self._small.id}/items?limit=20"
        bare = request("GET", f"/overviews/{self._small.id}?limit=20", {})
        baseline = [[bare]] * CONNECTIONS
        seen = load.run(self._installation.baseline_port, baseline, seconds=self._seconds)
        return self._rate([[self._ann.read(page)]] * CONNECTIONS) / seen.rate(200)

    def full_sync(self) -> float:
        """Compare the time of all pages with a bare fetch of the same rows in the same pages."""
        starts = range(0, FULL_ITEMS, PAGE)
        path = f"/api/v1/vaults/{self._full.id}/sync?since=0&limit={PAGE}"
        ours = [self._ann.read(path + (f"&after={n}" if n else "")) for n in starts]
        bare = [request("GET", f"/rows/{self._full.id}?after={n}&limit={PAGE}", {}) for n in starts]
        seen = load.run(self._port, [ours], seconds=None)
        baseline = load.run(self._installation.baseline_port, [bare], seconds=None)
        _require(seen, 200, len(ours))
        self.memory = max(self.memory, worker_mebibytes(self._installation.site))
        return seen.seconds / baseline.seconds

    def put(self) -> float:
        """Compare replacing an item with a bare view that runs the same statements."""
        return self._put_rate() / self._baseline_puts("put")

    def put_against_insert(self) -> float:
        """Compare replacing an item with one committed INSERT of the same size."""
        return self._put_rate() / self._baseline_puts("insert")

    def put_without_audit(self) -> float:
        """Compare replacing an item with the same on a server that records no audit event."""
        return self._put_rate() / self._put_rate(port=self._installation.silent_port)

    def many_writers(self) -> float:
        """Compare 16 connections, each with its own vault, with one connection."""
        return self._put_rate(vaults=WRITERS) / self._put_rate(vaults=1)

    def many_baseline_writers(self) -> float:
        """Measure `many_writers` with the baseline, to show what cores and disk allow."""
        return self._baseline_puts("put", vaults=WRITERS) / self._baseline_puts("put", vaults=1)

    def logins(self) -> float:
        """Compare logins of many people with what argon2id alone achieves on the same cores.

        Each person has their own account and address, because the queue of hashes limits each
        account and each address.
        """
        cores = psutil.cpu_count() or 1
        while len(self._people) < 3 * cores:
            person = Account.make(self._installation.site, f"person{len(self._people)}@example.org")
            self._people.append(person)
        headers = {"Content-Type": "application/json"}
        requested = [
            [request("POST", "/api/v1/auth/login", headers, json.dumps(person.login()).encode())]
            for person in self._people
        ]
        clients = [f"127.0.1.{number}" for number in range(1, len(self._people) + 1)]
        seen = load.run(self._port, requested, seconds=self._seconds * 2, clients=clients)
        return seen.rate(200) / hashes_a_second(cores, self._seconds)

    def refreshes(self) -> float:
        """Compare refreshing a session with the baseline's read of a row."""
        return self._signing.refreshes(self._baseline_rate)

    def machine_polls(self) -> float:
        """Compare 200 machines that poll with the baseline's read of a row."""
        return self._machines.polls(self._baseline_rate)

    def machine_reads(self) -> float:
        """Compare reads of one item by a machine with the same reads by a session."""
        return self._machines.item_reads(self._reads())

    def reads_in_a_storm(self) -> float:
        """Compare the p99 of reads while 16 connections log in with the p99 of reads alone."""
        return self._signing.reads_in_a_storm([[read] for read in self._reads()[0][:4]])

    @property
    def _port(self) -> int:
        return self._installation.site.port

    def _ask(self, path: str) -> bytes:
        connection = Connection(self._port)
        status, body = connection.ask(self._ann.read(path))
        connection.close()
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:300]!r}")
        return body

    def _reads(self) -> list[list[bytes]]:
        base = f"/api/v1/vaults/{self._small.id}/items"
        return [[self._ann.read(f"{base}/{item}") for item in self._small.items]] * CONNECTIONS

    def _rate(self, requests: list[list[bytes]]) -> float:
        seen = load.run(self._port, requests, seconds=self._seconds)
        _require(seen, 200, 1)
        return seen.rate(200)

    def _baseline_rate(self) -> float:
        paths = [f"/row/{self._small.id}/{item}" for item in self._small.items]
        requested = [[request("GET", path, {}) for path in paths]] * CONNECTIONS
        return load.run(self._installation.baseline_port, requested, seconds=self._seconds).rate(
            200
        )

    def _put_rate(self, *, vaults: int = CONNECTIONS, port: int | None = None) -> float:
        requests = []
        for vault, revisions in list(zip(self._own, self._revisions, strict=True))[:vaults]:
            own = []
            for turn in range(PUTS_A_ROUND):
                item = vault.items[turn % len(vault.items)]
                own.append(vault.replacing(item, revisions[item]))
                revisions[item] = vault.n
            requests.append(own)
        seen = load.run(port or self._port, requests, seconds=None)
        _require(seen, 200, vaults * PUTS_A_ROUND)
        return seen.rate(200)

    def _baseline_puts(self, what: str, *, vaults: int = CONNECTIONS) -> float:
        requests = []
        for vault in self._bare[:vaults]:
            path = f"/{what}/{vault.id}"
            if what == "put":
                path += f"/{self._ann.id}/{vault.items[0]}"
            requests.append([request("PUT", path, {})] * PUTS_A_ROUND)
        seen = load.run(self._installation.baseline_port, requests, seconds=None)
        _require(seen, 200, vaults * PUTS_A_ROUND)
        return seen.rate(200)


def hashes_a_second(threads: int, seconds: float) -> float:
    """Return how many verifiers ``threads`` threads compute per second."""
    counts = [0] * threads

    def count(place: int) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            argon2.low_level.hash_secret_raw(
                b"k" * 32, b"s" * 16, 2, 19_456, 1, 32, argon2.low_level.Type.ID
            )
            counts[place] += 1

    workers = [threading.Thread(target=count, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def _require(seen: load.Seen, status: int, at_least: int) -> None:
    if set(seen.statuses) != {status} or seen.statuses[status] < at_least:
        raise RuntimeError(f"the responses were {seen.statuses}, not {status}")


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)
