"""One release at a time: only one caller can create this Systems Manager parameter."""

import contextlib
import getpass
import json
import platform
from datetime import UTC, datetime

from account import BotoCoreError, ClientError, Rejected, client, code, log

TRIES = 5


def name_of(prefix):
    """Return the name of the parameter."""
    return f"/{prefix}/release"


@contextlib.contextmanager
def locked(prefix, what, token):
    """Hold the lock of an installation; a killed or interrupted command leaves it in place.

    :param what: the release, for people who find the lock.
    :param token: the record's token, so that the same command can continue.
    :raises Rejected: another release holds it.
    """
    take(prefix, what, token)
    try:
        yield
    except KeyboardInterrupt:
        raise  # its changes are incomplete: only the same command or its rollback may continue
    except BaseException:
        free(prefix, token)
        raise
    free(prefix, token)


def take(prefix, what, token):
    """Create the parameter, or accept it if this release created it.

    :raises Rejected: another release created it.
    """
    for _ in range(TRIES):
        try:
            client("ssm").put_parameter(
                Name=name_of(prefix), Value=json.dumps(_holder(what, token)), Type="String",
                Description="A release of Vaultr runs", Overwrite=False,
            )  # fmt: skip
        except ClientError as error:
            if code(error) != "ParameterAlreadyExists":
                raise
        else:
            return
        if check(prefix, token):
            return
    raise Rejected("other releases begin and end at this moment. Run the same command again")


def _holder(what, token):
    by = f"{getpass.getuser()}@{platform.node()}"
    return {"release": what, "by": by, "since": f"{datetime.now(UTC):%F %R} UTC", "token": token}


def check(prefix, token):
    """Return whether this release holds the lock; False if nobody does.

    :raises Rejected: another release holds it.
    """
    found = _read(prefix)
    if found is None or found.get("token") == token:
        return found is not None
    holder = ", ".join(str(found.get(one, "unknown")) for one in ("release", "by", "since"))
    raise Rejected(
        f"another release runs ({holder}). Wait until it ends. If it was killed, continue it with"
        f" its record, or remove the lock: aws ssm delete-parameter --name {name_of(prefix)}"
    )


def _read(prefix):
    """Return the holder of the lock, or None."""
    try:
        text = client("ssm").get_parameter(Name=name_of(prefix))["Parameter"]["Value"]
    except ClientError as error:
        if code(error) == "ParameterNotFound":
            return None
        raise
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def free(prefix, token):
    """Remove the lock if this release holds it; only print errors."""
    try:
        if (_read(prefix) or {}).get("token") == token:
            client("ssm").delete_parameter(Name=name_of(prefix))
    except (ClientError, BotoCoreError) as error:
        reason = code(error) if isinstance(error, ClientError) else type(error).__name__
        log(
            f"the lock was not removed ({reason}). Remove it: aws ssm delete-parameter --name"
            f" {name_of(prefix)}"
        )
