"""Read Vaultr's own export, plain or sealed with a password."""

from typing import Any, Final

from vaultr.client.imports.entry import TRASH
from vaultr.client.imports.file_format import json_object
from vaultr.client.imports.json_members import Members
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ImportFile, LeftOut, Reading, Report, checked
from vaultr.client.items import sealed_export
from vaultr.client.items.schemas import SCHEMAS, Draft

_ADVICE: Final = "Export again: vaultr export --all --format json."
_OWN: Final = "vaultr"
_VERSION: Final = 1


def read_file(file: ImportFile) -> Reading:
    """Read a whole export.

    :raises ImportProblems: it has a newer version, the password is wrong, or an item is invalid.
    """
    document = json_object(file.data, _ADVICE)
    if "vaultr_sealed_export" in document:
        try:
            plain = sealed_export.open_file(document, file.ask_password)
        except sealed_export.NotOpened as error:
            reject(str(error))
        document = json_object(plain, _ADVICE)
    if document.get("vaultr_export") != _VERSION:
        reject(f"This export is not of version {_VERSION}. Update Vaultr, then import it again.")
    report, drafts, problems = Report(), [], []
    number = 0
    for vault in Members(document, "").all_within("vaults"):
        name = vault.text("name")
        for value in vault.values("items"):
            number += 1
            item = Members(value, "")
            draft = _draft(item, name, report)
            problems += [Problem(f"entry {number}", fault) for fault in item.faults]
            if draft is not None and not item.faults:
                drafts.append(draft)
    if problems:
        raise ImportProblems(problems)
    return checked(drafts, report)


def _draft(item: Members, vault: str | None, report: Report) -> Draft | None:
    kind, identity = item.text("type") or "", item.text("id")
    overview, detail = item.object("overview"), item.object("detail")
    title = str(overview.get("title", "Untitled"))
    if item.text("state") == "trash":
        report.left_out.append(LeftOut(title, kind, TRASH))
        return None
    if kind not in SCHEMAS:
        item.odd("type", "is of a newer version: update Vaultr")
        return None
    source: dict[str, Any] = {"manager": _OWN, "id": identity, "vault": vault}
    if isinstance(detail.get("source"), dict):
        source = detail["source"]
    report.kinds[kind, kind] += 1
    for name in (*overview, *detail):
        if name != "source":
            report.fields[kind, name, name] += 1
    known = {name: value for name, value in source.items() if value}
    return Draft(kind, overview, {**detail, "source": known})
