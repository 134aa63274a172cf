"""The command `vaultr doctor`, which checks this device and the connection to its server."""

from dataclasses import asdict
from typing import Final

from vaultr.client.cli import output
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import locked_sdk

_LABELS: Final = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}
_LABEL_COLUMNS: Final = 4


@command("doctor", "vaultr doctor", "vaultr doctor --json")
@pass_options
def doctor(options: GlobalOptions) -> None:
    """Check this device and its connection to the server.

    Checks the permissions of the folder, the account, the secret key and keyring, the agent, the
    age of the copy, the server with its certificate and clock, the session, and the clipboard. The
    session is checked only while this device is unlocked or logged out. Needs no password. Exits
    with 0 if nothing failed, otherwise with the exit code of the first failure.
    """
    # This import loads the whole SDK.
    from vaultr.client.doctor.checkup import checkup  # noqa: PLC0415 - heavy, see above

    results = []
    with locked_sdk(options) as vaultr:
        for result in checkup(vaultr.device):
            results.append(result)
            if options.json:
                continue
            label, color = _LABELS[result.state]
            shown = output.styled(label, fg=color) + " " * (_LABEL_COLUMNS - len(label))
            output.print_styled_line(f"{shown}  {result.name}: {output.printable(result.said)}")
            if result.advice:
                output.print_line(f"{'':{_LABEL_COLUMNS}}  {output.printable(result.advice)}")
    failed = [result for result in results if result.state == "fail"]
    if options.json:
        documents = [
            {k: v for k, v in asdict(each).items() if k != "exit_code"} for each in results
        ]
        output.print_json({"ok": not failed, "findings": documents})
    if failed:
        raise SystemExit(failed[0].exit_code)
