"""Two devices change machines on a real server, while clients and the server are killed."""

import contextlib
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.devices import PASSWORD
from tests.harness.client.killable_server import KillableServer
from tests.harness.client.owners import owner, second
from tests.harness.client.world import StoredKey
from vaultr import Vaultr
from vaultr.client.transport.machine_sender import MachineRejected
from vaultr.protocol.encoding import b64

LONG = pytest.mark.long
VALUE = "vaultr://Personal/Mail/password"
# Changes a machine for each line of input, and prints the new token if there is one.
CHANGING = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tests.harness.client.world import StoredKey
from vaultr import Vaultr
from vaultr.client.errors import IntegrityError, VaultrError
from vaultr.protocol.encoding import unb64

later = datetime.now(UTC) + timedelta(days=30)
changes = {
    "add": lambda: device.add_machine("more", {"Personal": "read"}, expires_at=later)[1],
    "edit": lambda: device.edit_machine("ci", vaults={"Personal": "write"}) and None,
    "token": lambda: device.renew_machine_token("ci")[1],
    # The other device may have removed the last one.
    "rm": lambda: [device.remove_machine(str(one.id)) for one in device.machines()[-1:]] and None,
    "rotate": lambda: device.rotate(restart=True) and None,
}
device = Vaultr(home=Path(sys.argv[1]), agent=False)
device.device.unlocked = StoredKey(unb64(sys.stdin.readline().strip())).on(device)
print("ready", flush=True)
sys.stdin.readline()
try:
    print(changes[sys.argv[2]]() or "", flush=True)
except IntegrityError:
    raise
except VaultrError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
CHANGES = ("add", "edit", "token", "rm", "rotate")


def later():
    return datetime.now(UTC) + timedelta(days=30)


class Company:
    """An owner with two devices and a machine, on a server that can be killed."""

    def __init__(self, site, folder):
        self.site = site
        first = owner(site, folder, "mia@example.org")
        self.homes = [each.home / "vaultr" for each in (first, second(site, folder, first))]
        with Vaultr(home=self.homes[0], agent=False) as device:
            device.unlock(PASSWORD)
            self.key = device.device.unlocked.account.account_key
            device.add("login", {"title": "Mail"}, {"password": "hunter2"})

    @contextlib.contextmanager
    def device(self, home):
        """Open a device without deriving its keys again."""
        with Vaultr(home=home, agent=False) as device:
            device.device.unlocked = StoredKey(self.key).on(device)
            yield device

    def works(self, token):
        """Check whether a token reads the item; it must never read anything else."""
        with Vaultr.for_machine(self.site.url, token) as machine:
            try:
                return machine.read(VALUE) == "hunter2"
            except MachineRejected:
                return False

    def start(self, home, change):
        """Start a client that is ready to make a change."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        words = [sys.executable, "-c", CHANGING, str(home), change]
        client = subprocess.Popen(words, text=True, **pipes)
        client.stdin.write(f"{b64(self.key)}\n")
        client.stdin.flush()
        assert client.stdout.readline() == "ready\n", client.stderr.read()
        return client


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    (folder / "server").mkdir()
    site = KillableServer(folder / "server")
    site._environ |= {"STEP_UP_SECONDS": "3600", "LIMIT_WRITES": "100000/60"}
    with site:
        yield Company(site, folder)


def one_round(company, chance):
    """Change machines on both devices at the same time, and kill one of them or the server."""
    with company.device(company.homes[0]) as device:
        names = [each.name for each in device.machines()]
        if "ci" not in names:
            device.add_machine("ci", {"Personal": "read"}, expires_at=later())
        for each in device.machines()[10:]:
            device.remove_machine(str(each.id))
    chosen = [chance.choice(CHANGES), chance.choice(CHANGES)]
    clients = [company.start(*each) for each in zip(company.homes, chosen, strict=True)]
    for client in clients:
        client.stdin.write("go\n")
        client.stdin.flush()
    victim = chance.choice(["server", *clients, None])
    if victim is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            clients[0].wait(chance.uniform(0, 1.0))
        company.site.kill() if victim == "server" else victim.kill()
    for client, change in zip(clients, chosen, strict=True):
        _, errors = client.communicate(timeout=120)
        assert client.returncode in (0, 1, -signal.SIGKILL), (change, errors)
        assert "Traceback" not in errors, (change, errors)


def check(company, chance):
    """Check that the vault is intact, and that each listed machine can work again."""
    with company.device(chance.choice(company.homes)) as device:
        device.rotate()
        tokens = [device.renew_machine_token(str(each.id))[1] for each in device.machines()]
        device.sync()
        assert device.explain() == []
        assert device.read(VALUE) == "hunter2"
        assert all(map(company.works, tokens))
        if tokens:
            machine = device.machines()[0]
            device.remove_machine(str(machine.id))
            assert sum(map(company.works, tokens)) == len(tokens) - 1


# 40 runs of five rounds, because a single test must not exceed the time-out.
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=LONG) for n in range(1, 40))])
def test_killed_concurrent_changes_leave_working_machines(company, count, seed):
    chance = random.Random(seed)

    for _ in range(count(1, many=5)):
        one_round(company, chance)

        check(company, chance)
