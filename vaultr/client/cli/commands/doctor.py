"""The doctor command: whether this device and the way to its server are in order."""

from dataclasses import asdict
from typing import Final

from vaultr.client.cli import output
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.cli.sdk_session import closed

_SIGNS: Final = {"ok": ("ok", "green"), "warn": ("look", "yellow"), "fail": ("FAIL", "red")}
_SIGN_COLUMNS: Final = 4


@command("doctor", "vaultr doctor", "vaultr doctor --json")
@pass_choices
def doctor(choices: Choices) -> None:
    """Look whether this device is in order, and what to do if not.

    It looks at the rights of the folder, the account, the secret key and the keyring, the unlock
    process, the age of the copy, the server with its certificate and clock, whether it still knows
    this device (which it is asked only while this device is unlocked, or signed out), and the
    clipboard. No password is needed. It ends 0 if nothing failed, else with the code of what did.
    """
    # It loads the whole SDK.
    from vaultr.client.doctor.checkup import checkup  # noqa: PLC0415 - heavy, see above

    found = []
    with closed(choices) as vaultr:
        for finding in checkup(vaultr.device):
            found.append(finding)
            if choices.json:
                continue
            sign, colour = _SIGNS[finding.state]
            shown = output.styled(sign, fg=colour) + " " * (_SIGN_COLUMNS - len(sign))
            output.say(f"{shown}  {finding.name}: {output.printable(finding.said)}")
            if finding.advice:
                output.say(f"{'':{_SIGN_COLUMNS}}  {output.printable(finding.advice)}")
    failed = [finding for finding in found if finding.state == "fail"]
    if choices.json:
        plain = [{k: v for k, v in asdict(each).items() if k != "exit_code"} for each in found]
        output.as_json({"ok": not failed, "findings": plain})
    if failed:
        raise SystemExit(failed[0].exit_code)
