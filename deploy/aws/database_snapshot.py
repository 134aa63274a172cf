"""Create a snapshot of the database, or continue the one that an interrupted command began."""

import datetime
import os

import account
from account import AVAILABLE, Failed, Rejected, client, log, until

IN_PROGRESS = "creating"


def now():
    return datetime.datetime.now(datetime.UTC)


def existing(rds, name):
    """Return a database instance.

    :raises Rejected: no instance has this name.
    """
    found = account.instance(rds, name)
    if found is None:
        raise Rejected(
            f"no such database instance: {name} in {rds.meta.region_name}. Check --instance,"
            " AWS_REGION and AWS_PROFILE"
        )
    return found


def snapshots(rds, name):
    """List all snapshots of an instance, oldest first."""
    pages = rds.get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=name)
    found = [one for page in pages for one in page["DBSnapshots"]]
    return sorted(found, key=created)


def created(snapshot):
    """Return when a snapshot was created; AWS has no time for it while it is being created."""
    return snapshot.get("SnapshotCreateTime") or now()


def create(instance, record, *, dry_run):
    """Create a snapshot, wait for it, write its id to ``record``, and return it.

    Until the snapshot is available, its id is in the file ``record``.part; with that file the same
    call continues. A dry run returns None.

    :raises Rejected: the instance is missing or busy.
    """
    rds = client("rds")
    found = existing(rds, instance)
    name = unfinished(rds, instance, record)
    if name is None:
        making = [one for one in snapshots(rds, instance) if one["Status"] == IN_PROGRESS]
        if making:
            raise Rejected(
                f"{making[0]['DBSnapshotIdentifier']} is still being created. Wait until it is"
                " available"
            )
        if found["DBInstanceStatus"] != AVAILABLE:
            raise Rejected(
                f"{instance} is {found['DBInstanceStatus']}, not available. Wait until it is"
            )
    planned = name or f"{instance}-{now():%Y%m%d-%H%M%S}"
    if dry_run:
        log(f"would {'continue' if name else 'create'} {planned}")
        return None
    if name is None:
        begin(rds, instance, record, planned)
    until(planned, lambda: ready(rds, planned))
    if record:
        os.replace(part(record), record)
    return planned


def begin(rds, instance, record, name):
    if record:
        part(record).write_text(f"{name}\n", "utf-8")
    account.changing()
    rds.create_db_snapshot(
        DBInstanceIdentifier=instance, DBSnapshotIdentifier=name,
        Tags=[{"Key": "application", "Value": "vaultr"}],
    )  # fmt: skip


def part(record):
    """Return the file with the id, which exists until the snapshot is available."""
    return record.with_name(f"{record.name}.part")


def unfinished(rds, instance, record):
    """Return the id of the snapshot of an interrupted command, or None."""
    if record is None or not part(record).exists():
        return None
    found = account.snapshot(rds, part(record).read_text("utf-8").strip())
    if (
        found is None
        or found["DBInstanceIdentifier"] != instance
        or found["Status"] not in (IN_PROGRESS, AVAILABLE)
    ):
        return None
    return found["DBSnapshotIdentifier"]


def ready(rds, name):
    found = account.snapshot(rds, name)
    if found is None or found["Status"] == "failed":
        raise Failed(
            f"the snapshot {name} failed. Read the events of the instance in RDS, then run the same"
            " command again"
        )
    return found["Status"] == AVAILABLE
