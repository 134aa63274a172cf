"""A machine opens the vaults that its owner gave it access to, and nothing else."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.world import URL, mail
from vaultr import Vaultr
from vaultr.client.crypto.machine_keys import MachineKeys, MachineToken, wrap_for_machine
from vaultr.client.errors import (
    ChainBroken,
    Refused,
    RolledBack,
    SealBroken,
    ServerUnreachable,
    StepUpRequired,
    UsageError,
)
from vaultr.client.transport.machine_sender import MachineRejected
from vaultr.client.vaultr_client import MachineCannot, NoSuchMachine
from vaultr.client.vaults.machine_vaults import NoAccess
from vaultr.protocol.encoding import b64

LATER = datetime.now(UTC) + timedelta(days=90)


@pytest.fixture
def owner(world):
    world.laptop.add("login", *mail())
    return world.laptop


@pytest.fixture
def as_machine(world, tmp_path):
    """Return a function that opens a machine's vaults with its token."""

    def opened(token, home=None, **more):
        transport = world.server.transport()
        return Vaultr.for_machine(URL, token, home=home, transport=transport, **more)

    return opened


def added(owner, rights="read", name="ci"):
    return owner.add_machine(name, {"Personal": rights}, expires_at=LATER)[1]


def paths(world):
    return [f"{method} {path.split('/')[-1]}" for method, path, _ in world.server.requests]


def test_machine_without_folder_reads_items_of_its_owner(world, owner, as_machine):
    token = added(owner)

    with as_machine(token) as machine:
        value = machine.read("vaultr://Personal/Mail/password")

    assert value == "hunter2"
    assert not any(MachineToken.parse(token).text in str(each) for each in world.server.requests)


def test_warm_read_is_one_conditional_request(world, owner, as_machine, tmp_path):
    token = added(owner)
    with as_machine(token, tmp_path / "ci") as machine:
        machine.read("vaultr://Personal/Mail/password")
    world.server.requests.clear()

    with as_machine(token, tmp_path / "ci") as machine:
        value = machine.read("vaultr://Personal/Mail/password")

    assert value == "hunter2"
    assert paths(world) == ["GET sync"]


def test_cold_machine_with_unchanged_vault_fetches_no_log(world, owner, as_machine):
    token = added(owner)
    world.server.requests.clear()

    with as_machine(token) as machine:
        machine.items()

    # The full set. Its head is the one in the wrap, so a 304 would prove nothing more.
    assert paths(world)[:2] == ["GET self", "GET sync"]
    assert len(paths(world)) <= 3


def test_machine_with_write_access_adds_edits_and_trashes(world, owner, as_machine):
    token = added(owner, "write")

    with as_machine(token) as machine:
        machine.add("login", *mail("New", "one"))
        machine.edit("New", detail={"password": "two"})
        machine.trash("Mail")
        machine.restore("Mail")

    assert owner.read("vaultr://Personal/New/password") == "two"
    assert [each.title for each in owner.items()] == ["Mail", "New"]


def test_read_only_machine_cannot_write(owner, as_machine):
    token = added(owner)

    with as_machine(token) as machine, pytest.raises(Refused) as rejected:
        machine.add("login", *mail("New"))

    assert rejected.value.slug == "forbidden"


def test_machine_cannot_use_account_operations(owner, as_machine):
    token = added(owner)

    with as_machine(token) as machine:
        for name in ("rotate", "create_vault", "add_machine", "sessions", "step_up", "kit"):
            with pytest.raises(MachineCannot):
                getattr(machine, name)


def test_deleted_machine_is_rejected_with_its_next_request(owner, as_machine):
    token = added(owner)
    with as_machine(token) as machine:
        machine.items()
        owner.remove_machine("ci")

        with pytest.raises(MachineRejected):
            machine.items()

    assert owner.machines() == []


def test_new_token_opens_the_cache_and_old_one_is_rejected(owner, as_machine, tmp_path):
    old = added(owner)
    with as_machine(old, tmp_path / "ci") as machine:
        machine.items()

    machine_id, new = owner.renew_machine_token("ci")

    with pytest.raises(MachineRejected), as_machine(old, tmp_path / "ci") as machine:
        machine.items()
    with as_machine(new, tmp_path / "ci") as machine:
        assert machine.read("vaultr://Personal/Mail/password") == "hunter2"
    with as_machine(new, tmp_path / "ci", offline=True) as machine:
        assert [each.title for each in machine.items(offline=True)] == ["Mail"]
    assert machine_id.revision == 2


def test_rotation_wraps_new_keys_for_machines(world, owner, as_machine, tmp_path):
    token = added(owner)
    with as_machine(token, tmp_path / "ci") as machine:
        machine.items()

    owner.rotate("Personal")
    owner.add("login", *mail("After", "secret"))

    for home in (tmp_path / "ci", None):
        with as_machine(token, home) as machine:
            assert machine.read("vaultr://Personal/After/password") == "secret"


def test_rotation_reads_machines_again_after_one_was_added(world, owner, as_machine):
    added(owner, name="first")
    phone = world.second_by_key()
    phone.sync()
    late = []

    def add_another(method, path):
        if method == "POST" and path.endswith("/rotation") and not late:
            world.server.before = None
            late.append(added(phone, name="second"))

    world.server.before = add_another
    owner.rotate("Personal")

    with as_machine(late[0]) as machine:
        assert machine.read("vaultr://Personal/Mail/password") == "hunter2"


def test_rotation_repeats_the_same_wraps_after_lost_response(world, owner):
    added(owner)
    world.server.lose.append(("POST", "/rotation"))

    owner.rotate("Personal")

    first, second = world.sent("POST", "/rotation")
    assert first == second


def test_machine_still_reads_after_new_account_key(world, owner, as_machine):
    token = added(owner)

    owner.change_password("a master password for tests", "another password, long 91", new_key=True)
    owner.rotate(restart=True)

    with as_machine(token) as machine:
        assert machine.read("vaultr://Personal/Mail/password") == "hunter2"


def test_cold_machine_rejects_vault_older_than_its_wrap(world, owner, as_machine):
    vault_id, before = rolled(world)
    owner.add("login", *mail("Second"))
    token = added(owner)
    keys = world.server.vaults[vault_id]["keys"]
    world.server.vaults[vault_id] = before | {"keys": keys}

    with as_machine(token) as machine, pytest.raises(RolledBack):
        machine.items()


def test_machine_with_cache_rejects_older_vault(world, owner, as_machine, tmp_path):
    token = added(owner)
    vault_id, before = rolled(world)
    owner.add("login", *mail("Second"))
    with as_machine(token, tmp_path / "ci") as machine:
        machine.items()
    world.server.vaults[vault_id] = before

    with as_machine(token, tmp_path / "ci") as machine, pytest.raises(RolledBack):
        machine.items()


@pytest.mark.parametrize("back", [0, 1])
def test_machine_rejects_history_that_contradicts_its_wrap(world, owner, as_machine, back):
    owner.add("login", *mail("Second"))
    token = added(owner)
    parsed, record = MachineToken.parse(token), next(iter(world.server.records.values()))
    vault = owner.device.unlocked.reader.vault(None)
    keys = owner.device.unlocked.reader.keys(vault)[1]
    # As if the owner had created it on another history of the vault.
    wrapped = MachineKeys(keys, vault.state.n - back, bytes(32))
    sealed = wrap_for_machine(parsed.kek, parsed.machine_id, vault.id, 1, wrapped)
    record["vaults"][0]["keys"] = [{"generation": 1, "sealed_key": b64(sealed)}]

    with as_machine(token) as machine, pytest.raises(ChainBroken):
        machine.items()


def rolled(world):
    ((vault_id, vault),) = world.server.vaults.items()
    return vault_id, copy.deepcopy(vault)


def test_edit_renews_revision_and_head_of_the_wraps(world, owner, as_machine):
    token = added(owner)
    owner.add("login", *mail("Second"))
    owner.edit_machine("ci", name="build")
    world.server.requests.clear()

    with as_machine(token) as machine:
        machine.items()

    assert len(paths(world)) <= 3
    assert owner.machine("build").revision == 2


def test_machine_loses_vault_revoked_by_its_owner(owner, as_machine, tmp_path):
    owner.create_vault("Work")
    token = owner.add_machine("ci", {"Personal": "read", "Work": "read"}, expires_at=LATER)[1]
    with as_machine(token, tmp_path / "ci") as machine:
        assert {each.name for each in machine.vaults()} == {"Personal", "Work"}

    owner.edit_machine("ci", vaults={"Work": "read"})

    with as_machine(token, tmp_path / "ci") as machine:
        assert {each.name for each in machine.vaults()} == {"Work"}
        assert "no access" in machine.notices[0]
    owner.edit_machine("ci", vaults={})
    with as_machine(token, tmp_path / "ci") as machine, pytest.raises(NoAccess):
        machine.vaults()


def test_change_of_machine_needs_step_up(world, owner):
    world.server.step_up = False

    with pytest.raises(StepUpRequired):
        added(owner)
    with pytest.raises(NoSuchMachine):
        owner.machine("ci")


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 40), slice(4, None), slice(0, 0)])
def test_truncated_token_is_rejected_before_sending(world, owner, as_machine, cut):
    token = added(owner)
    world.server.requests.clear()

    with pytest.raises(UsageError) as rejected:
        as_machine(token[cut])

    assert world.server.requests == []
    assert not token[cut] or token[cut] not in str(rejected.value)


def test_token_of_another_machine_opens_nothing(world, owner, as_machine):
    one, two = MachineToken.parse(added(owner)), MachineToken.parse(added(owner, name="two"))
    swapped = MachineToken(one.machine_id, two.secret).text

    with as_machine(swapped) as machine, pytest.raises(MachineRejected):
        machine.items()


def test_wraps_of_another_machine_do_not_open(world, owner, as_machine):
    token = added(owner)
    other = MachineToken.parse(added(owner, name="two"))
    records = world.server.records
    own = str(MachineToken.parse(token).machine_id)
    records[own]["vaults"] = records[str(other.machine_id)]["vaults"]

    with as_machine(token) as machine, pytest.raises(SealBroken):
        machine.items()


def test_offline_machine_sends_nothing(world, owner, as_machine, tmp_path):
    token = added(owner)
    with as_machine(token, tmp_path / "ci") as machine:
        machine.items()
    world.server.requests.clear()

    with as_machine(token, tmp_path / "ci", offline=True) as machine:
        value = machine.resolver(offline=True)
        with pytest.raises(ServerUnreachable):
            machine.items()

    assert value is not None
    assert world.server.requests == []
