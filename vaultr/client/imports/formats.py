"""All formats that can be imported, and how files are recognised."""

import contextlib
import gc
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from vaultr.client.imports.archives import Archive
from vaultr.client.imports.file_format import KDBX, ZIP, check_whole, start_of, text_of
from vaultr.client.imports.problems import reject
from vaultr.client.imports.reading import ImportFile, Reading

Read = Callable[[ImportFile], Reading]

_ASSIGNMENT: Final = re.compile(rb"\s*(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=")
_KUBERNETES: Final = re.compile(rb"^kind:\s*[\"']?(Secret|List)\b", re.MULTILINE)
# How much of a JSON file is searched for the names that identify its format.
_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its name on the command line, its name for people, and its module."""

    name: str
    title: str
    module: str

    def read(self, file: ImportFile) -> Reading:
        """Read a file; import the module of the format only now."""
        module = import_module(f"vaultr.client.imports.{self.module}")
        function: Read = module.read_file
        with _without_collection():
            return function(file)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Stop the garbage collector from visiting a million values, which have no cycles.

    Collections took a fifth of the time for reading 10,000 entries. Afterwards the values are
    marked as old objects; otherwise the next collection would visit them all.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():  # what the program froze itself stays frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


_ALL: Final = (
    Format("bitwarden", "Bitwarden JSON or zip", "bitwarden"),
    Format("bitwarden-secrets", "Bitwarden Secrets Manager JSON", "secret_lists"),
    Format("1password", "1Password 1PUX", "onepassword"),
    Format("keepass", "KeePass KDBX 4 or 3.1", "keepass_file"),
    Format("keepass-xml", "KeePass XML", "keepass_xml"),
    Format("proton-pass", "Proton Pass JSON or zip", "proton_pass"),
    Format("lastpass", "LastPass CSV", "csv_file"),
    Format("chrome", "CSV of Chrome, Edge, Brave, Opera or Vivaldi", "csv_file"),
    Format("firefox", "Firefox CSV", "csv_file"),
    Format("safari", "Safari or Apple Passwords CSV", "csv_file"),
    Format("keepassxc", "KeePassXC CSV", "csv_file"),
    Format("psono", "Psono CSV", "csv_file"),
    Format("passbolt", "Passbolt CSV", "csv_file"),
    Format("csv", "any other CSV, by --map", "csv_file"),
    Format("pass", "pass store (a folder)", "pass_store"),
    Format("dotenv", "dotenv file", "dotenv"),
    Format("doppler", "Doppler JSON", "secret_lists"),
    Format("infisical", "Infisical JSON", "secret_lists"),
    Format("kubernetes", "Kubernetes Secret YAML", "kubernetes_secret"),
    Format("vaultr", "Vaultr export, plain or sealed", "vaultr_export"),
)
FORMATS: Final = {each.name: each for each in _ALL}
_KNOWN: Final = "Vaultr reads: " + ", ".join(each.title for each in _ALL) + "."


def recognise(data: bytes, path: Path | None = None) -> Format:
    """Return the format of a file, by its content, not by its name.

    :raises ImportProblems: it is empty, or has a format that Vaultr does not read.
    """
    if path is not None and path.is_dir():
        return FORMATS["pass"]
    check_whole(data)
    if data.startswith(KDBX):
        return FORMATS["keepass"]
    if data.startswith(ZIP):
        return FORMATS[_zip_format(data)]
    start = start_of(data)
    if start.startswith((b"{", b"[")):
        return FORMATS[_json_format(start[:_HEAD_BYTES])]
    if start.startswith(b"<"):
        return FORMATS[_xml_format(start[:_HEAD_BYTES])]
    return FORMATS[_text_format(data, start)]


def _zip_format(data: bytes) -> str:
    names = set(Archive(data).names)
    if "export.data" in names:
        return "1password"
    if "data.json" in names:
        return "bitwarden"
    if any(name.endswith("/data.json") for name in names):
        return "proton-pass"
    if any(name.endswith(".pgp") for name in names):
        reject("This Proton Pass export is encrypted with PGP. Export again as JSON or zip.")
    return reject(f"This zip archive contains no export that Vaultr knows. {_KNOWN}")


def _json_format(head: bytes) -> str:
    if b'"vaultr_export"' in head or b'"vaultr_sealed_export"' in head:
        return "vaultr"
    if b'"projects"' in head and b'"secrets"' in head:
        return "bitwarden-secrets"
    if b'"encrypted"' in head and (b'"items"' in head or b'"encKeyValidation' in head):
        return "proton-pass" if b'"vaults"' in head else "bitwarden"
    if b'"vaults"' in head and b'"userId"' in head:
        return "proton-pass"
    if head.startswith(b"[") and b'"key"' in head and b'"value"' in head:
        return "infisical"
    if b'"DOPPLER_PROJECT"' in head or b'"computed"' in head:
        return "doppler"
    # Its importer reports all other errors in a JSON file.
    return "bitwarden"


def _xml_format(head: bytes) -> str:
    if b"<KeePassFile" in head or b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        return "keepass-xml"
    return reject(f"This is a web page, or XML of a kind that Vaultr does not read. {_KNOWN}")


def _text_format(data: bytes, start: bytes) -> str:
    if start.lower().startswith(b"-----begin "):
        reject("This is a key or a certificate. Store it with `vaultr add ssh_key` or `add note`.")
    if _KUBERNETES.search(start):
        return "kubernetes"
    lines = (line.strip() for line in start.splitlines())
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    if not first or _ASSIGNMENT.match(first):
        return "dotenv"
    from vaultr.client.imports import csv_file  # noqa: PLC0415 - only text needs it

    found = csv_file.recognise(text_of(data))
    if found is not None:
        return found
    return reject(
        "This is not a file that Vaultr recognises. If it is a table, name its columns:"
        f" --map title=NAME,password=PASSWORD. {_KNOWN}"
    )
