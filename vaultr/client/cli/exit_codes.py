"""What the exit codes mean, and what of the environment is read: for help and for the docs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done",
        1: "refused: by the server, or by a rule of this client",
        2: "the command was not understood",
        3: "locked: no password, and no unlock process",
        4: "the server cannot be reached",
        5: "integrity: what the server says cannot be true; nothing was taken over",
        126: "run: the command cannot be executed; otherwise run ends as its command does",
        127: "run: there is no such command",
        130: "ended by Ctrl-C",
    }
)
ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "VAULTR_URL": "the server",
        "VAULTR_DIR": "the folder of this device; another one is another device",
        "VAULTR_AGENT": "off: no process holds the keys between commands",
        "VAULTR_KEYRING": "off: secret keys are kept in files, also where there is a keyring",
        "NO_COLOR": "anything: no colours; there are none in pipes, either",
    }
)


def epilog() -> str:
    """Write both as the end of the help."""
    codes = {str(code): said for code, said in EXIT_CODES.items()}
    return "\n".join((_part("Environment", ENVIRONMENT), _part("Exit codes", codes)))


def _part(title: str, lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    said = (f"  {name:{width}}  {text}" for name, text in lines.items())
    return "\n".join(["\b", f"{title}:", *said, ""])
