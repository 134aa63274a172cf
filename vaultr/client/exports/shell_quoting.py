"""Quote one value so that a shell or a YAML parser reads it unchanged."""

import re
from typing import Final

# Characters that have no special meaning in any shell or dotenv parser.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,-]+", re.ASCII)
# Characters that need an escape between double quotes in a shell: POSIX.1-2024 XCU 2.2.3.
_SPECIAL: Final = re.compile(r'[$`"\\]')
# YAML 1.2, production 1 (c-printable), except what JSON escapes anyway and line ends of YAML 1.1.
_UNPRINTABLE: Final = re.compile(
    r'["\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]'
)
# Unquoted, YAML 1.1 reads these as a boolean or null.
_YAML_WORDS: Final = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def dotenv(value: str) -> str:
    """Quote for a dotenv file, in the form that most parsers agree on.

    Single quotes keep everything unchanged. A value with a single quote gets double quotes if it
    needs no escapes. Otherwise it is quoted as for sh, which other parsers reject instead of
    misreading it.
    """
    if _PLAIN.fullmatch(value):
        return value
    if "'" in value and not _SPECIAL.search(value):
        return f'"{value}"'
    return shell(value)


def shell(value: str) -> str:
    """Quote for a shell: single quotes around the value, ``'\''`` for a single quote in it."""
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("'", "'\\''") + "'"


def yaml(value: str) -> str:
    """Quote for YAML, in double quotes with escapes."""
    return '"' + _UNPRINTABLE.sub(lambda found: _escaped(found[0]), value) + '"'


def yaml_key(name: str) -> str:
    """Write a variable's name as a key."""
    return f'"{name}"' if name.lower() in _YAML_WORDS else name


def _escaped(character: str) -> str:
    number = ord(character)
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")
