"""The credential helpers of git, and of Docker and Podman."""

import sys
from collections.abc import Sequence

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import Locked, UsageError, VaultrError

_ERROR = 1


@command(
    "git-credential",
    "git config --global credential.helper '!vaultr git-credential'",
    "printf 'protocol=https\\nhost=git.example\\n\\n' | vaultr git-credential get",
    no_args_is_help=True,
)
@click.argument("operation", metavar="OPERATION")
@pass_options
def git_credential(options: GlobalOptions, /, operation: str) -> None:
    """Serve git as a credential helper.

    git calls this command with OPERATION get, store or erase. get prints the login for the host
    that git names. store saves credentials that worked. erase moves credentials that were rejected
    to the trash, if git had stored them.

    If the device is locked and there is no terminal, get prints nothing, and git asks you.
    """
    from vaultr.client.integrations import git_credential as helper  # noqa: PLC0415 - would slow other commands

    if operation not in ("get", "store", "erase"):
        return  # git may add operations, and expects helpers to ignore unknown ones
    request = helper.parse_request(_stdin(options, helper.REQUEST_BYTES))
    try:
        with unlocked_sdk(options) as vaultr:
            if operation == "get":
                output.print_value(helper.get(vaultr, request), newline=False)
            elif operation == "store":
                helper.store(vaultr, request)
            else:
                for item in helper.erase(vaultr, request):
                    title = output.printable(output.display_name(item))
                    output.print_note(
                        f"The password of {title} was rejected. git did not create this item, so"
                        " it was kept."
                    )
    except Locked:
        if operation != "get":
            raise


def _stdin(options: GlobalOptions, most: int) -> str:
    data = prompts.read_input(options)
    if len(data) > most:
        raise UsageError(f"The request is larger than {most // 1024} KiB.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("The request is not UTF-8.") from None


def docker_main(arguments: Sequence[str] | None = None) -> int:
    """Run ``docker-credential-vaultr``; return its exit code.

    Docker and Podman show standard output as the error message.
    """
    from vaultr.client.integrations import docker_credential as helper  # noqa: PLC0415 - would slow others

    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in (["get"], ["store"], ["erase"], ["list"]):
        output.print_note("Usage: docker-credential-vaultr get|store|erase|list")
        return UsageError.exit_code
    options = GlobalOptions()
    try:
        request = "" if words == ["list"] else _stdin(options, helper.REQUEST_BYTES)
        with unlocked_sdk(options) as vaultr:
            if words == ["get"]:
                output.print_value(helper.get(vaultr, request))
            elif words == ["list"]:
                output.print_value(helper.listed(vaultr))
            elif words == ["store"]:
                helper.store(vaultr, request)
            else:
                helper.erase(vaultr, request)
    except (Locked, helper.CredentialsNotFound):
        output.print_line(helper.NOT_FOUND)
        return _ERROR
    except VaultrError as error:
        output.print_line(output.printable(str(error).split("\n", maxsplit=1)[0]))
        return _ERROR
    return 0
