"""Check a file as a whole: its size, its encoding, and whether it is the expected JSON."""

import json
from typing import Any, Final

from vaultr.client.imports.problems import reject
from vaultr.client.strict_json import read_text

# A whole file is read into memory: 2,000 entries of Bitwarden take about 2 MiB.
FILE_BYTES: Final = 64 * 1024 * 1024
ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
KDBX: Final = b"\x03\xd9\xa2\x9a"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def check_whole(data: bytes) -> None:
    """Check the size of a file of any format.

    :raises ImportProblems: it is empty, or too large.
    """
    if not data.strip():
        reject("The file is empty. Export again, and look at the file before importing it.")
    if len(data) > FILE_BYTES:
        reject(f"The file is larger than {FILE_BYTES // 1024 // 1024} MiB; split it.")


def text_of(data: bytes) -> str:
    """Decode a file that must be UTF-8, with or without a byte order mark.

    :raises ImportProblems: empty, binary, another encoding, or too large.
    """
    check_whole(data)
    if data.startswith((ZIP, _EMPTY_ZIP)):
        reject("This is a zip archive, not a text file. Leave out --format to have it recognised.")
    if data.startswith(KDBX):
        reject("This is a KeePass database, not a text file. Import it with --format keepass.")
    if data.startswith(_UTF16):
        reject("This file is UTF-16. Save it as UTF-8 and import it again.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    return reject(f"Line {line} is not UTF-8. Save the file as UTF-8 and import it again.")


def start_of(data: bytes) -> bytes:
    """Return the data from its first character on, without byte order mark and white space."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()


def json_object(data: bytes, advice: str) -> dict[str, Any]:
    """Return the JSON object in the file.

    :param advice: what to do if the file is not JSON.
    :raises ImportProblems: it is something else; the message has the position.
    """
    text = text_of(data)
    if not start_of(data).startswith((b"{", b"[")):
        reject(f"This file is not JSON. {advice}")
    try:
        return read_text(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            reject(
                f"The file ends in the middle (line {error.lineno}): it was cut off."
                " Export or copy it again."
            )
        reject(f"Line {error.lineno}, column {error.colno} is not JSON: {error.msg}.")
    except ValueError as error:
        reject(f"This JSON file cannot be trusted: {error}.")
