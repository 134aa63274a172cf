"""Shared by all scripts of this folder: AWS clients, messages, and exit codes.

Exit codes: 0 done, 1 failed after a change began, 2 rejected before any change, 130 interrupted.
The scripts need boto3 (`pip install boto3`) and obey AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL,
POLL_SECONDS (10) and WAIT_SECONDS (3600).
"""

import functools
import os
import re
import sys
import time
from urllib.parse import urlsplit

try:
    import boto3
    import botocore.config
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError:
    sys.stderr.write("deploy/aws: boto3 is missing. Install it: pip install boto3\n")
    sys.exit(2)

NAME = re.compile(r"[a-z](-?[a-z0-9])*")
SERVICES = ("web", "worker", "sequencer")
JOBS = ("cleanup", "daily", "backup", "drill")
AVAILABLE = "available"
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
ACTIONS = "docs/aws.md#what-the-scripts-may-do lists the permissions that they need"


class Rejected(Exception):
    """The command would cause harm, so nothing was changed: exit code 2."""


class Failed(Exception):
    """A step failed: exit code 1."""


changed = False


def changing():
    """Record that the next call changes something, so that a later error has exit code 1."""
    global changed
    changed = True


# --- environment and errors ----------------------------------------------------------------


@functools.cache
def seconds(name, default):
    """Return a number of seconds from the environment.

    :raises Rejected: it is not a number above 0.
    """
    try:
        found = float(os.environ.get(name, default))
    except ValueError:
        found = 0
    if not 0 < found < float("inf"):
        raise Rejected(f"{name}: must be a number of seconds above 0")
    return found


def check_environment():
    """Raise `Rejected` if a variable that the scripts read has a wrong value."""
    seconds("POLL_SECONDS", 10)
    seconds("WAIT_SECONDS", 3600)
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Rejected("AWS_ENDPOINT_URL: must be a URL such as http://127.0.0.1:5000")


def run(main):
    """Run a script, print errors as one sentence, and exit with its code."""
    try:
        check_environment()
        main()
    except KeyboardInterrupt:
        log(f"{_program()}: interrupted. Run the same command again: it continues.")
        sys.exit(130)
    except (
        Rejected, Failed, ClientError, BotoCoreError, ResponseParserError, OSError,
    ) as error:  # fmt: skip
        begun = changed or isinstance(error, Failed)
        log(f"{_program()}: {sentence(error)}.")
        if not begun:
            log("Nothing was changed.")
        sys.exit(1 if begun else 2)


def _program():
    return os.path.basename(sys.argv[0])


def sentence(error):
    """Return what an error means and what to do, without a full stop at the end."""
    if isinstance(error, ClientError):
        return _rejection(error)
    if isinstance(error, BotoCoreError) and "redential" in str(error):
        return f"{str(error).rstrip('.')}. Set AWS_PROFILE or run `aws sso login`"
    if isinstance(error, ResponseParserError):
        return "the response was not from AWS. Check AWS_ENDPOINT_URL, and look for a proxy"
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error).rstrip(".")


def _rejection(error):
    name, operation = code(error), error.operation_name
    if name in EXPIRED:
        return "the credentials have expired. Log in again, then run the same command"
    if name in DENIED:
        return f"the credentials may not call {operation}; {ACTIONS}"
    message = error.response["Error"].get("Message", "")[:300]
    return f"{operation} failed ({name}): {message}".rstrip(".: ")


def code(error):
    """Return the code of an AWS error."""
    return error.response["Error"]["Code"]


def log(text):
    """Print a message for people; results go to standard output."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def until(what, done):
    """Wait until ``done()`` returns a true value, and return it.

    :raises Failed: it takes longer than WAIT_SECONDS.
    """
    limit = seconds("WAIT_SECONDS", 3600)
    end = time.monotonic() + limit
    while True:
        found = done()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: not done after {limit:.0f} s. Run the same command again")
        time.sleep(seconds("POLL_SECONDS", 10))


# --- queries that several scripts use --------------------------------------------------------


@functools.cache
def client(service):
    """Return a client of an AWS service."""
    settings = botocore.config.Config(
        retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60
    )
    try:
        return boto3.client(service, region_name=os.environ.get("AWS_REGION"), config=settings)
    except NoRegionError:
        raise Rejected("no region is set. Set AWS_REGION, for example eu-central-1") from None


def restored(name):
    """Return the name of the instance to which an installation's snapshot is restored."""
    return f"{name}-restore"


def installation(instance):
    """Return the name prefix of the installation that a database belongs to."""
    return instance.removesuffix("-restore")


def check_name(option, name):
    """Raise `Rejected` if a name is not valid as the prefix or the database of an installation."""
    if not NAME.fullmatch(name):
        raise Rejected(
            f"{option} {name}: must be letters, digits and hyphens, in lower case, as vaultr-prod"
        )


def require_image(repository, tag):
    """Raise `Rejected` if the repository has no image with this tag."""
    try:
        client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if code(error) not in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise
        raise Rejected(
            f"the repository {repository} has no image {tag}. Push it first, then run the same"
            " command (docs/aws.md#image)"
        ) from None


def stack(cloudformation, name):
    """Return AWS's description of a stack, or None if it does not exist."""
    try:
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if code(error) == "ValidationError":
            return None
        raise


def instance(rds, name):
    """Return a database instance, or None."""
    try:
        return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    except ClientError as error:
        if code(error) in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return None
        raise


def snapshot(rds, name):
    """Return a snapshot of a database, or None."""
    try:
        return rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    except ClientError as error:
        if code(error) in ("DBSnapshotNotFound", "DBSnapshotNotFoundFault"):
            return None
        raise


def services(ecs, prefix):
    """Return the services of an installation by name; none if the cluster does not exist."""
    names = [f"{prefix}-{one}" for one in SERVICES]
    try:
        found = ecs.describe_services(cluster=prefix, services=names)["services"]
    except ClientError as error:
        if code(error) != "ClusterNotFoundException":
            raise
        return {}
    return {one["serviceName"]: one for one in found if one["status"] == "ACTIVE"}


def deployed(found):
    """Return whether every service has exactly one, complete deployment.

    :raises Failed: a deployment failed.
    """
    for one in found.values():
        first = one["deployments"][0]
        if first.get("rolloutState") == "FAILED":
            raise Failed(f"{one['serviceName']}: {first.get('rolloutStateReason', 'it failed')}")
    return all(
        len(one["deployments"]) == 1 and one["deployments"][0].get("rolloutState") == "COMPLETED"
        for one in found.values()
    )


def task_definition(ecs, name):
    """Return a task definition: the newest one of a family, or the one with an ARN."""
    return ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]


def tag_of(ecs, name):
    """Return the tag of the image that a task definition runs."""
    return task_definition(ecs, name)["containerDefinitions"][-1]["image"].rpartition(":")[2]


# --- secrets with URLs of the database -----------------------------------------------------

URLS = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "SEQUENCER_DATABASE_URL")


def database_urls(prefix):
    """Return the secrets with URLs of the database, by name.

    :raises Rejected: one is missing or is not a PostgreSQL URL; the message contains no value.
    """
    manager, found = client("secretsmanager"), {}
    for one in URLS:
        name = f"{prefix}/{one}"
        try:
            found[name] = manager.get_secret_value(SecretId=name)["SecretString"].strip()
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise
            raise Rejected(
                f"the secret {name} has no value. Store the URL of the database in it"
            ) from None
        if host_of(found[name]) is None:
            raise Rejected(
                f"the secret {name} is not the URL of a database. Store one in it, such as"
                " postgresql://USER:PASSWORD@ADDRESS:5432/vaultr, its password percent-encoded"
            )
    return found


def host_of(url):
    """Return the host in a PostgreSQL URL, or None if it is not such a URL."""
    try:
        parts = urlsplit(url)
        # Without a user, a password that is not percent-encoded may look like a port and a path.
        usable = parts.scheme.partition("+")[0] in ("postgresql", "postgres") and parts.username
        return (parts.hostname or None) if usable and parts.port != 0 else None
    except ValueError:
        return None
