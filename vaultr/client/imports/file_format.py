"""Recognises whose file it is, and says what to do with one that cannot be read."""

import io
import re
from typing import Final, Literal

from vaultr.client.imports.problems import refuse

Format = Literal["bitwarden", "dotenv"]

# A whole file is read into memory: 2,000 entries of Bitwarden are about 2 MiB.
FILE_BYTES: Final = 64 * 1024 * 1024
_AGAIN: Final = "Export again as JSON"
_BITWARDEN: Final = (
    f"{_AGAIN} (in Bitwarden: Tools, Export vault, file format .json,"
    " or .json (Encrypted) with a password of its own)."
)
_ASSIGNMENT: Final = re.compile(rb"\s*(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=")
_ZIP: Final = b"PK\x03\x04"
_KDBX: Final = b"\x03\xd9\xa2\x9a"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
# The first line of the tables that people most often have.
_TABLES: Final = (
    (b"folder,favorite,type,name,", "a Bitwarden CSV, which holds only logins and notes"),
    (b"collections,type,name,", "a CSV of a Bitwarden organisation"),
    (b"url,username,password,totp,extra,", "a LastPass CSV"),
    (b"name,url,username,password", "a CSV of Chrome or another browser"),
    (b"title,url,username,password", "a CSV of Safari or 1Password"),
    (b'"group","title","username"', "a KeePassXC CSV"),
)


def recognise(data: bytes) -> Format:
    """Tell which importer reads ``data``, by what is in it and not by its name.

    :raises ImportProblems: it is empty, or of a kind that no importer reads; names the kind.
    """
    _refuse_whole(data)
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"{", b"[")):
        return "bitwarden"
    _refuse_other_text(start)
    lines = (line.strip() for line in start.splitlines())
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    if not first or _ASSIGNMENT.match(first):
        return "dotenv"
    return refuse(
        "This is neither JSON of Bitwarden nor a dotenv file of NAME=value lines."
        " If it is one of them with a mistake in it, name it by --format."
    )


def text_of(data: bytes) -> str:
    """Decode a file that must be UTF-8, with or without a byte order mark.

    :raises ImportProblems: empty, binary, another encoding, or too large.
    """
    _refuse_whole(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    return refuse(f"Line {line} is not UTF-8. Save the file as UTF-8 and import it again.")


def refuse_other_than_json(data: bytes) -> None:
    """Refuse what is clearly no JSON, by the name of what it is.

    :raises ImportProblems: it is something else.
    """
    _refuse_whole(data)
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    _refuse_other_text(start)
    if not start.startswith((b"{", b"[")):
        refuse(f"This file is not JSON. {_BITWARDEN}")


def _refuse_whole(data: bytes) -> None:
    if not data.strip():
        refuse("The file is empty. Export again, and look at the file before importing it.")
    if len(data) > FILE_BYTES:
        refuse(f"The file is larger than {FILE_BYTES // 1024 // 1024} MiB; split it.")
    if data.startswith(_ZIP):
        refuse(_what_zip(data))
    if data.startswith(_KDBX):
        refuse("This is a KeePass database (.kdbx), which this version does not read.")
    if data.startswith(_UTF16):
        refuse("This file is UTF-16. Save it as UTF-8 and import it again.")


def _what_zip(data: bytes) -> str:
    # zipfile brings the compressors along, which no other file needs.
    import zipfile  # noqa: PLC0415 - heavy, see above

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile:
        return f"This is a zip archive that was cut off. {_BITWARDEN}"
    if "export.data" in names:
        return "This is a 1Password archive (.1pux), which this version does not read."
    if "data.json" in names:
        return (
            "This is a Bitwarden zip with attachments, which Vaultr does not keep."
            " Unpack it and import the data.json in it."
        )
    return f"This is a zip archive. Unpack it, or: {_BITWARDEN}"


def _refuse_other_text(start: bytes) -> None:
    first = start.split(b"\n", 1)[0].strip().lower()
    for header, kind in _TABLES:
        if first.startswith(header):
            refuse(f"This is {kind}; CSV loses too much to be imported. {_BITWARDEN}")
    if first.startswith(b"<"):
        refuse(f"This is XML or a web page, not JSON. {_BITWARDEN}")
    if first.startswith(b"-----begin "):
        refuse("This is a key or a certificate. Keep it by `vaultr add ssh_key` or `add note`.")
