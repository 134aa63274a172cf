"""The disasters of a game day, and the runbook's steps after each."""

import json
import shutil

from tests.harness.timing import until
from tests.rollout.game_day_clients import PATIENCE_SECONDS, token

RESTORED = "vaultr_restored"
ROLES = "psql -v ON_ERROR_STOP=1 --quiet --dbname={} --file=deploy/postgres/roles.sql"


def prepare(day):
    """Begin the day: no backup exists yet."""
    day.begin("The day begins", "The system is new. Nobody has made a backup.")
    day.system.server = day.system.site.postgres
    day.system.sign_up_clients()
    day.alerts("VaultrBackupOld")
    day.page.runbook("VaultrBackupOld")
    _back_up(day)
    day.flask("drill", "backup", "drill")
    day.flask("backup", "backup", "list")
    day.recovered("VaultrBackupOld")
    day.say("People hold a copy of the keys in escrow. Its fingerprints are those of the server:")
    day.system.page_keys = _fingerprints(day)


def database_lost(day):
    """Kill PostgreSQL and delete its files."""
    system = day.system
    day.begin(
        "Database lost",
        "PostgreSQL is killed, and its files are deleted. The newest backup is a little older"
        " than the newest writes.",
    )
    system.server.kill()
    shutil.rmtree(system.server.folder / "data")
    day.alerts("VaultrNotReady", "VaultrErrorRate")
    day.page.runbook("Database lost")
    day.say("Step 1: server, worker and sequencer are stopped. Step 2, on a new server:")
    system.stop()
    server = system.new_postgres("db-2")
    _restore(day, server, RESTORED)
    day.say("Step 3, with DATABASE_URL of the new database:")
    system.point_to(server, RESTORED)
    _examine(day)
    day.say("Step 4: sequencer, worker and server start.")
    system.start()
    _announce(day)
    _reconcile(day)
    day.recovered("VaultrNotReady", "VaultrErrorRate", "VaultrAuditHalted")
    _back_up(day)


def region_lost(day):
    """Lose all processes, all stored data and all secrets of the region."""
    system = day.system
    day.begin(
        "Region lost",
        "Server, worker, sequencer, PostgreSQL and Redis are killed. Their files are deleted, and"
        " so are all secrets and the state of the sequencer. Only the bucket, the keys in escrow"
        " and the name of the service remain.",
    )
    for client in system.clients:
        client.wait_for_more()  # so that each has writes that the newest backup lacks
    system.lose_region()
    day.alerts("VaultrGone", "VaultrWorkerGone")
    day.page.runbook("Region lost")
    day.say(
        "The keys come from the escrow. `make secrets` makes new passwords, and leaves the keys as"
        " they are. PostgreSQL and Redis are new and empty."
    )
    system.settle_region()
    server = system.new_postgres("db-region-2", small=True)
    system.point_to(server, RESTORED)
    system.page_keys = _fingerprints(day, same_as=system.page_keys)
    _restore(day, server, RESTORED, options=" --tablespace=small")
    _examine(day)
    system.start()
    system.wait_until_served()
    _announce(day)
    _reconcile(day)
    day.recovered("VaultrGone", "VaultrWorkerGone", "VaultrAuditHalted")


def wrong_restore(day):
    """Restore an old backup by mistake, and let the server use it."""
    system = day.system
    oldest = json.loads(system.flask("backup", "backup", "list", "--json").stdout)[0]["name"]
    day.begin(
        "Wrong restore",
        "Somebody restores the oldest backup instead of the newest, and points the server to it.",
    )
    system.stop()
    system.pager.begin()
    _restore(day, system.server, "vaultr_old", name=oldest)
    before = system.point_to(system.server, "vaultr_old")
    system.start()
    day.alerts("VaultrAuditHalted")
    until(lambda: all(client.alarm for client in system.clients), within=PATIENCE_SECONDS)
    day.say(
        "Each client stops, and writes nothing into the older database:"
        f" “{system.clients[0].alarm}”"
    )
    day.page.runbook("Wrong restore")
    system.stop()
    for path, text in before.items():
        path.write_text(text)
    system.database = RESTORED
    day.say("The URLs name the right database again, and the services restart.")
    _examine(day)
    system.start()
    for client in system.clients:
        with client.paused() as device:
            device.done("sync")
    day.say("The clients need no `--accept`: the server has all writes that they saw.")
    day.recovered("VaultrAuditHalted")


def keys_lost(day):
    """Delete the keys of the server, and restart its processes."""
    system = day.system
    day.begin(
        "Keys lost",
        "The files with the server keys are deleted, and all processes restart. None starts.",
    )
    lost = ("jwt_secret", "pepper", "factor_key", "mail_key", "audit_key", "checkpoint_key")
    system.stop()
    for name in lost:
        (system.site.secrets / name).unlink()
    day.flask("app", "check", fails=True)
    day.alerts("VaultrGone", "VaultrWorkerGone")
    day.page.runbook("Lost keys")
    day.page.runbook("Key escrow")
    for name in lost:
        shutil.copy2(system.escrow / name, system.site.secrets / name)
    day.say("The copies of the escrow are put back. Their fingerprints are the same:")
    _fingerprints(day, same_as=system.page_keys)
    day.flask("app", "keys", "status")
    system.start()
    day.recovered("VaultrGone", "VaultrWorkerGone")


def disk_full(day):
    """Fill the disk of PostgreSQL."""
    system = day.system
    day.begin("Disk full", "The disk with the database is filled to the last byte.")
    system.fill_disk()
    day.alerts("VaultrErrorRate")
    ready = system.site.ask(system.site.ports["app"], "/api/ready")
    day.say(f"Reads continue: `/api/ready` answers {ready[0]}, with `{ready[1].decode().strip()}`.")
    day.page.runbook("Disk full")
    day.say("Space is freed. Nothing is restarted.")
    system.disk.make_room()
    day.recovered("VaultrErrorRate")


def redis_gone(day):
    """Kill Redis."""
    system = day.system
    day.begin("Redis gone", "Redis is killed. The clients continue to write.")
    written = sum(len(one.stored) for one in system.clients)
    system.end_redis()
    day.alerts("VaultrRedisAway")
    for client in system.clients:
        client.wait_for_more()
    more = sum(len(one.stored) for one in system.clients) - written
    day.say(f"{more} writes were acknowledged without Redis.")
    day.page.runbook("VaultrRedisAway")
    system.site.redis.start()
    day.say("Redis is back, empty.")
    day.recovered("VaultrRedisAway")


def mail_gone(day):
    """Stop the mail server while somebody waits for an email."""
    system = day.system
    day.begin("Mail gone", "The mail server ends. Somebody signs up, and waits for the email.")
    system.mail.close()
    device = system.clients[0].another_device("new-owner")
    device.email = "new-owner@example.org"
    device.run_json("signup", "--email", device.email)
    day.alerts("VaultrMailStuck")
    day.page.runbook("Mail down")
    day.flask("worker", "mail", "list")
    day.flask("worker", "doctor", fails=None, about="mail")
    day.say("The mail server is back. The worker would send the email later; this sends it now:")
    system.start_mail()
    waiting = json.loads(system.flask("worker", "mail", "list", "--json").stdout)
    day.flask("worker", "mail", "retry", waiting[0]["id"])
    token(system.inbox, device.email)
    day.say("The email has arrived.")
    day.recovered("VaultrMailStuck")


def check(day):
    """Compare what new devices get from the server with every acknowledged write."""
    system = day.system
    day.page.heading("What is left")
    for client in system.clients:
        client.stop()
    lost = [title for client in system.clients for title in client.lost()]
    assert lost == []
    acknowledged = sum(len(one.stored) for one in system.clients)
    failures = sum(sum(one.failures.values()) for one in system.clients)
    logins = sum(one.logins for one in system.clients)
    day.say(
        f"The server acknowledged {acknowledged} writes on this day. A new device of each owner"
        f" reads all of them, with the values that were written. Writes that failed, as the client"
        f" reported: {failures}. Logins that clients had to repeat: {logins}."
    )
    day.flask("app", "audit", "verify", "--cross", fails=None)
    _back_up(day)
    day.flask("drill", "backup", "drill")


def _back_up(day):
    day.flask("backup", "backup", "create")


def _fingerprints(day, *, same_as=None):
    """Show the fingerprints of the server's keys, and check that the escrow has the same keys."""
    system = day.system
    shown = day.flask("sequencer", "keys", "fingerprint")
    escrow = system.flask("sequencer", "keys", "fingerprint", "--dir", str(system.escrow)).stdout
    assert shown == escrow
    assert same_as in (None, shown)
    return shown


def _restore(day, server, database, *, name=None, options=""):
    """Restore a backup from the bucket, by default the newest, following the runbook."""
    listed = json.loads(day.system.flask("drill", "backup", "list", "--json").stdout)
    name = name or listed[-1]["name"]
    port = day.system.administer(server)["PGPORT"]
    day.shell(server, f"createdb{options} {database}")
    into = f"postgresql://vaultr@127.0.0.1:{port}/{database}"
    day.flask("drill", "backup", "restore", name, "--into", into)
    day.shell(server, ROLES.format(database))


def _examine(day):
    """Check the restored database before anybody uses it."""
    day.flask("app", "db-status")
    day.flask("app", "keys", "status")


def _announce(day):
    """Wait until the sequencer halts, as it must, and announce the restore."""
    day.say("The sequencer remembers a later state of the log, so it signs nothing:")
    day.alerts("VaultrAuditHalted")
    day.page.runbook("VaultrAuditHalted")
    day.system.site.stop("sequencer")
    day.flask("sequencer", "audit", "reopen", "--reason", "restored after a disaster")
    day.system.site.start("sequencer", "sequencer", **day.system.settings("sequencer"))


def _reconcile(day):
    """Make each client list what the server has lost, and write it again."""
    clients = day.system.clients
    day.say("Clients that saw later writes stop, and show what the server has lost:")
    until(lambda: all(client.alarm for client in clients), within=PATIENCE_SECONDS)
    for number, client in enumerate(clients):
        with client.paused() as device:
            if number == 0:
                day.vaultr(device, "sync", "--explain", code=5)
                day.vaultr(device, "sync", "--accept", "--yes")
            else:
                device.types("sync", "--explain")
                device.done("sync", "--accept", "--yes")
    day.say("The other clients do the same.")
