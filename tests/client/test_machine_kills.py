"""Machine changes with a crashed client or a lost response: either old or new state."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.crash_points import CrashAt
from tests.harness.client.world import URL, mail
from vaultr import Vaultr
from vaultr.client.transport.machine_sender import MachineRejected

LATER = datetime.now(UTC) + timedelta(days=90)
CHANGES = {
    "add": lambda owner: owner.add_machine("new", {"Personal": "read"}, expires_at=LATER),
    "edit": lambda owner: owner.edit_machine("ci", name="build", vaults={"Personal": "write"}),
    "token": lambda owner: owner.renew_machine_token("ci"),
    "rm": lambda owner: owner.remove_machine("ci"),
    "rotate": lambda owner: owner.rotate("Personal"),
}
# The request of each change that stores data on the server.
STORED = {
    "add": ("POST", "/machines"),
    "edit": ("PUT", ""),
    "token": ("PUT", ""),
    "rm": ("DELETE", ""),
    "rotate": ("POST", "/rotation"),
}


class Company:
    """An owner with the machine ``ci`` and its token."""

    def __init__(self, world):
        self.world = world
        world.laptop.add("login", *mail())
        self.token = world.laptop.add_machine("ci", {"Personal": "read"}, expires_at=LATER)[1]

    def works(self, token):
        """Check whether a token opens the item."""
        transport = self.world.server.transport()
        with Vaultr.for_machine(URL, token, transport=transport) as machine:
            try:
                return machine.read("vaultr://Personal/Mail/password") == "hunter2"
            except MachineRejected:
                return False

    def check_old_or_new(self, change):
        """Check that the change was stored completely or not at all; return whether it was."""
        owner = self.world.again()
        owner.sync()
        listed = {each.name: each for each in owner.machines()}
        works = self.works(self.token)
        if change == "add":
            assert works
            return "new" in listed
        if change == "edit":
            assert works
            (changed,) = listed.values()
            rights = {*changed.vaults.values()}
            assert (changed.name, rights) in [("ci", {"read"}), ("build", {"write"})]
            return changed.name == "build"
        if change == "token":
            assert works == (listed["ci"].revision == 1)
            return not works
        if change == "rm":
            assert works == ("ci" in listed)
            return not works
        assert works
        (vault,) = self.world.server.vaults.values()
        return vault["generation"] == 2

    def check_repairable(self):
        """Check that the owner can repair each machine, and rotate all vaults."""
        owner = self.world.again()
        tokens = [owner.renew_machine_token(str(each.id))[1] for each in owner.machines()]
        owner.rotate("Personal")
        assert all(map(self.works, tokens))
        assert owner.explain() == []


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.mark.parametrize("change", CHANGES)
def test_kill_at_any_step_leaves_old_or_new_state(first_world, tmp_path, change, count):
    seen, crashed = set(), True
    for at in itertools.count(1, count(9, many=1)):
        company = Company(first_world.copied(tmp_path / str(at)))
        with CrashAt(company.world.server, at) as crash:
            # it sends its requests through the patched function
            CHANGES[change](company.world.again())
        crashed = crash.crashed
        company.world.laptop.device.drop()
        seen.add(company.check_old_or_new(change))
        company.check_repairable()
        if not crashed:
            break

    assert seen == {False, True}


@pytest.mark.parametrize("change", CHANGES)
def test_lost_response_leads_to_the_new_state(world, change):
    company = Company(world)
    world.server.requests.clear()
    world.server.lose.append(STORED[change])

    result = CHANGES[change](world.laptop)

    method, ending = STORED[change]
    bodies = [body for verb, path, body in world.server.requests
              if verb == method and path.endswith(ending)]  # fmt: skip
    assert world.server.lose == []
    assert len(bodies) >= 2
    assert bodies[0] == bodies[1]
    if change in ("add", "token"):
        assert company.works(result[1])
    assert company.check_old_or_new(change)
