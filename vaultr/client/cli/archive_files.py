"""Account archives in export and import: store, open offline, import into an account."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.exports.archive import ArchivedAccount, ArchivedVersion
    from vaultr.client.exports.documents import Contents
    from vaultr.client.items.schemas import Draft
    from vaultr.client.vaultr_client import ImportReport, Item

_START_BYTES = 64


@dataclass(slots=True)
class OpenedVault:
    """A vault of an archive, opened.

    :ivar versions: the earlier contents of each item, oldest first.
    """

    id: str
    name: str
    items: "list[Item]" = field(default_factory=list, repr=False)
    versions: "dict[str, list[ArchivedVersion]]" = field(default_factory=dict, repr=False)


def is_archive_file(file: Path) -> bool:
    """Check whether a file begins like an archive."""
    from vaultr.client.exports.archive_lines import is_archive  # noqa: PLC0415 - would slow others

    if not file.is_file():
        return False
    with file.open("rb") as source:
        return is_archive(source.read(_START_BYTES))


def store_archive(options: GlobalOptions, file: Path, *, force: bool) -> None:
    """Store the archive of the account, verified and still sealed.

    :raises VaultrError: the file exists, or the archive failed verification; nothing was stored.
    """
    from vaultr.client.exports import archive  # noqa: PLC0415 - would slow other commands

    if file.exists() and not force:
        raise VaultrError(f"{file} already exists and was not changed. To replace it, use --force.")
    unfinished = file.with_name(f".{file.name[:100]}.{secrets.token_hex(8)}.unfinished")
    with unlocked_sdk(options) as vaultr, _removed_after(unfinished):
        step_up(options, vaultr)
        opened = vaultr.device.require_unlocked()
        opened.prepare(offline=False)  # all vaults that this device knows must be in the archive
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(unfinished, flags, 0o600), "w+b") as target:
            vaultr.download_archive(target.write)
            target.flush()
            account = opened.account
            found = archive.verify(target, account.wrap_key, newest=account.profile)
            known, shown = account.known, found.account
            if (known.derivation, known.key_set) != (shown.derivation, shown.key_set):
                raise VaultrError(
                    "The archive was not saved: its keys differ from those on this device. If the"
                    " master password was just changed, try again."
                )
            os.fsync(target.fileno())
        unfinished.replace(file)
    if options.json:
        output.print_json({"file": str(file), "vaults": len(found.vaults)})
        return
    output.print_note(f"Saved and verified: {output.printable(str(file))}")
    output.print_note("It is sealed. To open it, you need the master password and the secret key.")


@contextlib.contextmanager
def _removed_after(file: Path) -> Iterator[None]:
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def open_archive(
    options: GlobalOptions, file: Path, *, password_fd: int | None = None
) -> list[OpenedVault]:
    """Verify an archive with keys that the user types, and open everything in it.

    :param password_fd: the descriptor with the master password of the archive's account; by default
        the one of ``--password-fd``, or a prompt.
    :raises ArchiveInvalid: it is altered or truncated, or cannot be opened; nothing was used.
    """
    from vaultr.client.exports import archive  # noqa: PLC0415 - would slow other commands

    with file.open("rb") as source:
        account = archive.read_account(source)
        key = _secret_key(options, account)
        if password_fd is not None:
            password = prompts.read_descriptor(password_fd, "--file-password-fd")
        else:
            password = prompts.password(options)
        return _opened(source, account.open(password, key))


def _secret_key(options: GlobalOptions, account: "ArchivedAccount") -> bytes | None:
    """Return the secret key, typed or from this device; None if the account has none."""
    from vaultr.client.storage.private_folder import home_folder  # noqa: PLC0415 - heavy, it brings the ciphers
    from vaultr.client.storage.store import Store  # noqa: PLC0415 - heavy, it brings the ciphers

    found = prompts.secret_key(options)
    stored = None
    if not found and home_folder().is_dir():
        stored = Store(home_folder()).secret_key(account.derivation.account_id)
    if not found and stored is None and prompts.can_ask():
        question = "Secret key of the archive, or text of its emergency kit (empty for none)"
        found = prompts.ask_secret_key(question)
    key = found.get("secret_key", getattr(found.get("kit"), "secret_key", stored))
    return key if isinstance(key, bytes) else None


def _opened(source: BinaryIO, wrap: bytes) -> list[OpenedVault]:
    from vaultr.client.exports import archive  # noqa: PLC0415 - would slow other commands

    verified = archive.verify(source, wrap)
    vaults = {each: OpenedVault(str(each), "") for each in verified.vaults}
    for home, name, record in archive.opened(source, verified):
        vault = vaults[home.vault_id]
        vault.name = name
        if isinstance(record, archive.ArchivedVersion):
            vault.versions.setdefault(str(record.item_id), []).append(record)
        else:
            vault.items.append(record)
    return list(vaults.values())


def contents_of(vaults: list[OpenedVault], ref: str | None) -> "Contents":
    """Return opened vaults as `Contents`, the input of document writers.

    :param ref: the only vault, by id or name; None for all.
    """
    from vaultr.client.exports.documents import Contents  # noqa: PLC0415 - would slow others

    chosen = [each for each in vaults if ref in (None, each.id, each.name)]
    if not chosen and ref is not None:
        names = ", ".join(output.printable(each.name) for each in vaults)
        raise UsageError(f"The archive has no such vault. Its vaults: {names}.")
    return Contents([(each.id, each.name, each.items) for each in chosen])


def import_archive(
    options: GlobalOptions,
    file: Path,
    password_fd: int | None,
    vault: str | None,
    *,
    versions: bool,
    update: bool,
) -> None:
    """Import all items of an archive, each vault into the vault of the same name.

    :param vault: import everything into this vault instead.
    :param versions: also import earlier contents of new items.
    """
    done: list[dict[str, object]] = []
    with unlocked_sdk(options) as vaultr:
        opened = open_archive(options, file, password_fd=password_fd)
        existing = {each.name: each for each in vaultr.vaults()}
        for each in opened:
            drafts = drafts_of(each)
            if not drafts:
                continue
            target = vault
            if target is None:
                found = existing.get(each.name) or vaultr.create_vault(each.name)
                target = str(found.id)
            earlier = earlier_contents(each) if versions else {}
            report = vaultr.import_drafts(drafts, vault=target, update=update, earlier=earlier)
            done.append({"vault": each.name, "read": len(drafts), **_counts(report)})
    if options.json:
        output.print_json({"vaults": done})
        return
    for line in done:
        name = output.printable(str(line["vault"]))
        output.print_line(f"{name}: {line['imported']} imported, {line['same']} already there.")
        if line["imported"]:
            output.print_note(f"Undo it: vaultr import --undo {line['run']}")


def _counts(report: "ImportReport") -> dict[str, object]:
    return {
        "imported": len(report.added),
        "same": report.same,
        "updated": [str(item.id) for item in report.updated],
        "differing": [str(item.id) for item in report.differing],
        "run": report.run,
    }


def drafts_of(vault: OpenedVault) -> "list[Draft]":
    """Return the active items as drafts, like an import of Vaultr's own export."""
    from vaultr.client.exports import documents  # noqa: PLC0415 - would slow others
    from vaultr.client.imports import vaultr_export  # noqa: PLC0415 - would slow others
    from vaultr.client.imports.reading import ImportFile  # noqa: PLC0415 - would slow others

    if all(item.state == "trash" for item in vault.items):
        return []
    value = documents.json_value(contents_of([vault], None), datetime.now(UTC))
    data = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    return list(vaultr_export.read_file(ImportFile(data=data)).drafts)


def earlier_contents(vault: OpenedVault) -> "dict[str, list[Draft]]":
    """Return the earlier contents of the items by their ids in the archive, oldest first."""
    from vaultr.client.items.schemas import Draft  # noqa: PLC0415 - heavy, it brings the ciphers

    return {
        item_id: [Draft(each.type, each.overview, each.detail) for each in versions]
        for item_id, versions in vault.versions.items()
    }
