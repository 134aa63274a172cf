"""Read a ``pass`` store, a folder of files encrypted with gpg, as drafts of items."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vaultr.client.imports.entry import Entry
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ENTRIES_MOST, ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import Draft

_LINE: Final = re.compile(r"([^\s:][^:\n]{0,63}):[ \t]+(.*)")
_USERNAMES: Final = frozenset({"user", "username", "login", "email", "e-mail"})
_URLS: Final = frozenset({"url", "website", "site", "link"})
_ENTRY_BYTES: Final = 1024 * 1024
_SECONDS_MOST: Final = 300  # the user may have to type the passphrase


def read_file(file: ImportFile) -> Reading:
    """Decrypt every entry with gpg, whose agent asks for the passphrase, and read it.

    :raises ImportProblems: the folder is not a store, or an entry cannot be decrypted.
    """
    folder = file.path
    if folder is None or not folder.is_dir():
        reject("A pass store is a folder, such as ~/.password-store.")
    report, drafts, problems = Report(), [], []
    for path in _files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            drafts.append(_draft(name, _decrypted(path), report))
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    if not drafts and not problems:
        reject("This folder is not a pass store: it has no .gpg files.")
    return checked(drafts, report, problems)


def _files(folder: Path) -> Iterator[Path]:
    found = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            # A link could lead out of the store, or form a loop.
            if path.suffix == ".gpg" and not path.is_symlink():
                found += 1
                if found > ENTRIES_MOST:
                    reject(f"This store has more than {ENTRIES_MOST} entries.")
                yield path


def _decrypted(path: Path) -> str:
    """Return the text of one entry.

    :raises ValueError: it cannot be decrypted, or is not text.
    """
    command = ["gpg", "--quiet", "--batch", "--decrypt", "--", os.fspath(path.absolute())]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as gpg:
            data = gpg.stdout.read(_ENTRY_BYTES + 1) if gpg.stdout is not None else b""
            if len(data) > _ENTRY_BYTES:
                gpg.kill()
                raise ValueError(f"is larger than {_ENTRY_BYTES // 1024} KiB")
            gpg.wait(_SECONDS_MOST)
    except FileNotFoundError:
        raise ImportProblems([Problem("", "Reading a pass store needs gpg.")]) from None
    if gpg.returncode:
        raise ValueError("gpg cannot decrypt it: the key is missing, or the passphrase was wrong")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _draft(name: str, text: str, report: Report) -> Draft:
    folder, _, title = name.rpartition("/")
    lines = text.splitlines()
    password, rest = (lines[0], lines[1:]) if lines else ("", [])
    entry = Entry(report, "entry", "login" if password else "note")
    entry.put("name", "overview.title", title)
    entry.put("folder", "overview.folder", folder)
    if password.startswith("otpauth://"):
        entry.put("otpauth", "detail.totp", password)
    else:
        entry.put("first line", "detail.password", password)
    notes = []
    for line in rest:
        found = _LINE.fullmatch(line)
        key = found[1].strip().lower() if found else ""
        if line.startswith("otpauth://"):
            entry.put("otpauth", "detail.totp", line)
        elif found is None:
            notes.append(line)
        elif key in _USERNAMES:
            entry.put(key, "overview.username", found[2])
        elif key in _URLS:
            entry.url(key, found[2])
        else:
            entry.field(found[1], found[2], hidden=True)
    entry.note("other lines", "\n".join(notes).strip("\n"))
    return entry.draft("pass", id=name)
