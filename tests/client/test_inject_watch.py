"""`vaultr inject --watch` keeps a file up to date, and runs a command after each change."""

import json
import os
import signal
import stat
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.devices import Job, started
from tests.harness.client.world import URL, mail
from tests.harness.timing import until
from vaultr import Vaultr
from vaultr.client.errors import Locked, RolledBack, ServerUnreachable, VaultrError
from vaultr.client.run.template_watch import TemplateWatch, WatchedFile
from vaultr.client.storage import last_lock
from vaultr.client.transport.machine_sender import MachineRejected

TEMPLATE = "port={{ vaultr://Personal/web/PORT }}\n"
LATER = datetime.now(UTC) + timedelta(days=30)


@pytest.fixture(scope="module")
def owner(own_device):
    document = {"overview": {"title": "web"}, "detail": {"variables": {"PORT": "80"}}}
    own_device.done("add", "env_set", "--json", stdin=json.dumps(document))
    return own_device


@pytest.fixture
def job(owner, site, tmp_path):
    token = tmp_path / "token"
    name = f"job {tmp_path.name}"
    owner.done("machines", "add", name, "--vault", "Personal", "--out", str(token))
    job = Job(tmp_path / "job", site.url, token.read_text().strip())
    (tmp_path / "app.tmpl").write_text(TEMPLATE)
    yield job
    owner.done("machines", "rm", name, "--keep-keys")


def set_port(owner, port):
    change = {"detail": {"variables": {"PORT": port}}}
    owner.done("edit", "web", "--json", stdin=json.dumps(change))


def test_file_is_rewritten_and_command_run_after_each_change(owner, job, tmp_path):
    out, log = tmp_path / "app.env", tmp_path / "log"
    command = f"cat {out} >> {log}; env | grep -c VAULTR_TOKEN >> {log}; false"
    words = ("inject", "--watch", str(tmp_path / "app.tmpl"), "--out", str(out), "--exec", command)
    set_port(owner, "80")

    with started(job, *words, "--every", "0.2") as process:
        until(lambda: log.exists() and log.read_text() == "port=80\n0\n")
        set_port(owner, "81")
        until(lambda: log.read_text() == "port=80\n0\nport=81\n0\n")
        set_port(owner, "82")
        until(lambda: log.read_text() == "port=80\n0\nport=81\n0\nport=82\n0\n")
        process.send_signal(signal.SIGTERM)
        output, notes = process.communicate(timeout=60)

    assert (process.returncode, output) == (0, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    # SIGTERM may come before the third command has ended.
    assert notes.count("ended with exit code 1") >= 2
    assert "=8" not in notes
    assert sorted(os.listdir(tmp_path)) == ["app.env", "app.tmpl", "job", "log", "token"]


def test_command_ends_with_the_watch(job, tmp_path):
    command = f"echo $$ > {tmp_path / 'pid'}; exec sleep 600"
    words = ("inject", "--watch", str(tmp_path / "app.tmpl"), "--out", str(tmp_path / "out"))

    with started(job, *words, "--exec", command) as process:
        pid = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("words", "message"), [
    (("--watch", "app.tmpl"), "--out FILE"),
    (("--watch", "app.tmpl", "--out", "app.tmpl"), "names the template"),
    (("--watch", "app.tmpl", "--out", "o", "--offline"), "contacts the server"),
    (("--watch", "app.tmpl", "--out", "o", "--json"), "no --json"),
    (("app.tmpl", "--exec", "true"), "needs --watch"),
    (("app.tmpl", "--in-file", "app.tmpl"), "once"),
    (("--watch", "plain", "--out", "o"), "no reference"),
])  # fmt: skip
def test_unsupported_option_combinations_exit_2(own_device, tmp_path, monkeypatch, words, message):
    (tmp_path / "app.tmpl").write_text(TEMPLATE)
    (tmp_path / "plain").write_text("nothing")
    monkeypatch.chdir(tmp_path)

    assert message in own_device.fails(2, "inject", *words)
    assert sorted(os.listdir(tmp_path)) == ["app.tmpl", "plain"]


class Watched:
    """A watch with a server in memory, one step at a time."""

    def __init__(self, world, vaultr, folder):
        self.world, self.notes, self.out = world, [], folder / "out"
        file = WatchedFile("{{ vaultr://Personal/Mail/password }}", self.out, None)
        self.watch = TemplateWatch(vaultr, file, every_seconds=0.01, notify=self.notes.append)

    def run(self, monkeypatch, *steps):
        """Run the watch; call one step before each further request to the server."""
        left = iter(steps)

        def wait(_watch, _seconds):
            step = next(left, None)
            if step is None:
                raise StopIteration
            step()

        monkeypatch.setattr(TemplateWatch, "_wait", wait)
        with pytest.raises(StopIteration):
            self.watch.run()


@pytest.fixture
def watched(world, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    world.laptop.add("login", *mail("Mail", "one"))
    return Watched(world, world.laptop, tmp_path)


def test_file_is_unchanged_while_server_is_unreachable(watched, monkeypatch):
    def away():
        def lost(_method, _path):
            raise ServerUnreachable("no response")

        watched.world.server.before = lost

    def back():
        watched.world.server.before = None
        watched.world.laptop.edit("Mail", detail={"password": "two"})

    watched.run(monkeypatch, away, away, back)

    assert watched.out.read_text() == "two"
    assert [note.partition(":")[0] for note in watched.notes] == [
        f"Wrote {watched.out}.", f"{watched.out} is unchanged", f"Wrote {watched.out}.",
    ]  # fmt: skip


def test_file_is_unchanged_while_item_is_in_trash(watched, monkeypatch):
    laptop = watched.world.laptop

    watched.run(monkeypatch, lambda: laptop.trash("Mail"), lambda: laptop.restore("Mail"))

    assert watched.out.read_text() == "one"
    assert len(watched.notes) == 2


def test_current_file_is_not_written_again(watched, monkeypatch):
    watched.out.write_text("one")
    watched.out.chmod(0o600)

    watched.run(monkeypatch, lambda: None)

    assert watched.notes == []


def test_public_file_becomes_private(watched, monkeypatch):
    watched.out.write_text("one")
    watched.out.chmod(0o644)

    watched.run(monkeypatch)

    assert stat.S_IMODE(watched.out.stat().st_mode) == 0o600


def test_lock_of_the_device_ends_the_watch(watched, monkeypatch):
    laptop = watched.world.laptop
    last_lock.note(laptop.device.store.folder)

    with pytest.raises(Locked):
        watched.watch.run()
    assert watched.out.read_text() == "one"


def test_deleted_machine_and_rollback_end_the_watch(world, tmp_path, monkeypatch):
    monkeypatch.setattr(TemplateWatch, "_wait", lambda watch, seconds: changes.pop()())
    owner = world.laptop
    owner.add("login", *mail("Mail", "one"))
    token = owner.add_machine("ci", {"Personal": "read"}, expires_at=LATER)[1]
    before = {each: json.loads(json.dumps(vault)) for each, vault in world.server.vaults.items()}

    def rolled_back():
        world.server.vaults.update(before)

    owner.edit("Mail", detail={"password": "two"})
    for change, error in (
        (rolled_back, RolledBack),
        (lambda: owner.remove_machine("ci"), MachineRejected),
    ):
        changes = [change]
        with Vaultr.for_machine(URL, token, transport=world.server.transport()) as machine:
            watched = Watched(world, machine, tmp_path)
            with pytest.raises(error):
                watched.watch.run()


def test_unwritable_file_fails_the_first_write(watched, tmp_path):
    watched.watch._file = WatchedFile(
        "vaultr://Personal/Mail/password", tmp_path / "no" / "x", None
    )

    with pytest.raises(VaultrError, match="nothing was written"):
        watched.watch.run()
