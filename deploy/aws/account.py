"""What all scripts of this folder share: clients of AWS, messages, and exit codes.

Exit codes: 0 done, 1 failed (and rolled back where the command says so), 2 rejected before any
change. The scripts need boto3 (`pip install boto3`) and obey AWS_PROFILE, AWS_REGION and
AWS_ENDPOINT_URL.
"""

import os
import sys
import time

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ModuleNotFoundError:
    sys.stderr.write("deploy/aws: boto3 is missing. Install it: pip install boto3\n")
    sys.exit(2)

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "10"))
WAIT_SECONDS = int(os.environ.get("WAIT_SECONDS", "3600"))
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class Rejected(Exception):
    """The command would do harm, so nothing was changed: exit code 2."""


class Failed(Exception):
    """A step failed: exit code 1."""


changed = False


def changing():
    """Note that the next call changes something, so that a later error is exit code 1."""
    global changed
    changed = True


def client(service):
    """Return a client of a service of AWS."""
    settings = botocore.config.Config(
        retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60
    )
    try:
        return boto3.client(service, region_name=os.environ.get("AWS_REGION"), config=settings)
    except botocore.exceptions.NoRegionError:
        raise Rejected("no region is set. Set AWS_REGION, for example eu-central-1") from None


def log(text):
    """Print a message for people; results go to standard output."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def code(error):
    """Return the code of an error of AWS."""
    return error.response["Error"]["Code"]


def until(what, done):
    """Wait until ``done()`` returns something true, and return it.

    :raises Failed: it takes longer than WAIT_SECONDS.
    """
    end = time.monotonic() + WAIT_SECONDS
    while True:
        found = done()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: not done after {WAIT_SECONDS} s. Run the same command again")
        time.sleep(POLL_SECONDS)


def run(main):
    """Run a script, print errors as one sentence, and exit with its code."""
    try:
        main()
    except Rejected as error:
        log(f"{os.path.basename(sys.argv[0])}: {error}.")
        if not changed:
            log("Nothing was changed.")
        sys.exit(1 if changed else 2)
    except Failed as error:
        log(f"{os.path.basename(sys.argv[0])}: {error}.")
        sys.exit(1)
    except botocore.exceptions.ClientError as error:
        log(f"{os.path.basename(sys.argv[0])}: {_sentence(error)}.")
        sys.exit(1 if changed else 2)
    except botocore.exceptions.BotoCoreError as error:
        says = "Set AWS_PROFILE or run `aws sso login`" if "redential" in str(error) else ""
        log(f"{os.path.basename(sys.argv[0])}: {str(error).rstrip('.')}. {says}".rstrip())
        sys.exit(1 if changed else 2)


def _sentence(error):
    name, operation = code(error), error.operation_name
    if name in EXPIRED:
        return "the credentials have expired. Log in again, then run the same command"
    if name in DENIED:
        return f"the credentials may not call {operation}. docs/deployment.md lists the actions"
    return (
        f"{operation} failed ({name}): {error.response['Error'].get('Message', '')[:300]}".rstrip(
            "."
        )
    )
