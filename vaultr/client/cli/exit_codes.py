"""Exit codes and environment variables of the `vaultr` command, for help and docs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "success",
        1: "failed: rejected by the server or by a check on this device",
        2: "usage error, or this device belongs to no account",
        3: "locked: no agent holds the keys, and no password was provided",
        4: "the server is unreachable",
        5: "integrity error: a response failed verification and was not applied",
        126: "run: the command cannot be executed",
        127: "run: the command was not found; otherwise run exits like its command",
        130: "interrupted by Ctrl-C",
    }
)
ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "VAULTR_URL": "URL of the server",
        "VAULTR_DIR": "folder of this device; each folder is a separate device",
        "VAULTR_CA_FILE": "PEM file of the private CA that signed the server's certificate",
        "VAULTR_IDLE": "idle time after which the keys are forgotten (default: 15m)",
        "VAULTR_AGENT": "off: do not keep keys in memory between commands",
        "VAULTR_TOKEN": "token of a machine, instead of a login",  # nosec B105 - a text for people
        "VAULTR_TOKEN_FILE": "file with the token of a machine",  # nosec B105 - a text for people
        "VAULTR_KEYRING": "off: store secret keys in files, not in the system keyring",
        "NO_COLOR": "any value: no colours (pipes never get colours)",
    }
)


def epilog() -> str:
    """Return both tables as the end of the help."""
    codes = {str(code): meaning for code, meaning in EXIT_CODES.items()}
    return "\n".join((_section("Environment", ENVIRONMENT), _section("Exit codes", codes)))


def _section(title: str, lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    rows = (f"  {name:{width}}  {text}" for name, text in lines.items())
    return "\n".join(["\b", f"{title}:", *rows, ""])
