"""Backups in an S3 bucket or a compatible one; needs the extra `s3`.

boto3 reads region, credentials and endpoint from the usual AWS variables and roles.
"""

import contextlib
import importlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from vaultr import clock
from vaultr.backup.errors import LocationFailed, NotConfigured
from vaultr.backup.sealing import ReadableFile, WritableFile
from vaultr.backup.storage import VERIFIED, Stored, is_name
from vaultr.settings import authorities
from vaultr.settings.model import Settings

_SECONDS: Final = 30.0
_MISSING: Final = {"404", "NoSuchKey", "NotFound"}


class Bucket:
    """A bucket and a prefix. An interrupted upload leaves no object.

    :param settings: its PRIVATE_CA is trusted too; None for boto3's defaults.
    """

    def __init__(self, bucket: str, prefix: str, settings: Settings | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        try:
            boto3: Any = importlib.import_module("boto3")
            config: Any = importlib.import_module("botocore.config")
            errors: Any = importlib.import_module("botocore.exceptions")
        except ImportError:
            raise NotConfigured("boto3 is missing: install vaultr[server,s3].") from None
        kinds = (errors.BotoCoreError, errors.ClientError, boto3.exceptions.Boto3Error)
        self._errors: tuple[type[Exception], ...] = (*kinds, OSError, EOFError)
        retries = {"max_attempts": 3, "mode": "standard"}
        limits = config.Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries=retries)
        with self._reported():
            trusted = None if settings is None else authorities.file_for_boto3(settings)
            self._client = boto3.client("s3", config=limits, verify=trusted)

    def list(self) -> list[Stored]:
        """Return all backups, oldest first."""
        found = self._sizes()
        names = sorted(name for name in found if is_name(name))
        return [Stored(name, found[name], f"{name}{VERIFIED}" in found) for name in names]

    def _sizes(self) -> dict[str, int]:
        """Return the size of each object, by its name without the prefix."""
        found: dict[str, int] = {}
        with self._reported():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for entry in page.get("Contents", ()):
                    found[entry["Key"].removeprefix(self._prefix)] = entry["Size"]
        return found

    def write(self, name: str, produce: Callable[[WritableFile], None]) -> int:
        """Upload in parts while the backup is being created; an error aborts the upload."""
        receiver, sender = os.pipe()
        with open(sender, "wb") as target, open(receiver, "rb") as source:
            counted = _Counted(target)
            upload = _Upload(self._client, self._bucket, f"{self._prefix}{name}", source)
            upload.start()
            try:
                with contextlib.suppress(BrokenPipeError):  # the upload's own error is raised below
                    produce(counted)
                    counted.flush()
                    upload.complete()
            finally:
                with contextlib.suppress(BrokenPipeError):
                    target.close()
                upload.join()
        if upload.error is not None:
            with self._reported():
                raise upload.error
        return counted.size

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[ReadableFile]:
        """Download a backup while it is being read."""
        with self._reported(name):
            found = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}{name}")
        with contextlib.closing(found["Body"]) as body, self._reported(name):
            yield body

    def mark_verified(self, name: str, facts: Mapping[str, Any]) -> None:
        """Store an object beside the backup."""
        text = json.dumps(dict(facts), default=str).encode()
        key = f"{self._prefix}{name}{VERIFIED}"
        with self._reported():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=text)

    def remove(self, name: str) -> bool:
        """Remove all versions of a backup and its mark, unless object lock still protects it.

        The mark is younger than the backup, so its lock may end later. Then `remove_leftovers`
        removes it.
        """
        key = f"{self._prefix}{name}"
        if self._locked(key, name):
            return False
        with self._reported():
            self._remove_versions(key)
        self._remove_mark(f"{key}{VERIFIED}")
        return True

    def remove_leftovers(self) -> None:
        """Remove marks of backups that are gone.

        A lifecycle rule of the bucket removes incomplete uploads.
        """
        names = self._sizes()
        for mark in names:
            backup_name = mark.removesuffix(VERIFIED)
            if backup_name != mark and is_name(backup_name) and backup_name not in names:
                self._remove_mark(f"{self._prefix}{mark}")

    def _remove_mark(self, key: str) -> None:
        with self._reported():
            if self._head_object(key) is not None and not self._locked(key):
                self._remove_versions(key)

    def _locked(self, key: str, name: str | None = None) -> bool:
        """Check whether the object lock of an object is still active."""
        with self._reported(name):
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        until: datetime | None = head.get("ObjectLockRetainUntilDate")
        held = head.get("ObjectLockLegalHoldStatus") == "ON"
        return held or (until is not None and until > clock.now())

    def _remove_versions(self, key: str) -> None:
        head = self._head_object(key)
        while head is not None:
            version = head.get("VersionId")
            which = {"VersionId": version} if version and version != "null" else {}
            self._client.delete_object(Bucket=self._bucket, Key=key, **which)
            head = self._head_object(key) if which else None

    def _head_object(self, key: str) -> Any:
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key)
        except self._errors as error:
            if _code(error) in _MISSING:
                return None
            raise

    @contextlib.contextmanager
    def _reported(self, name: str | None = None) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            code = _code(error)
            if name is not None and code in _MISSING:
                raise LocationFailed(
                    f"The bucket has no backup {name}. `flask backup list` shows all."
                ) from None
            raise LocationFailed(
                f"The bucket {self._bucket} cannot be used: {code}. Check BACKUP_LOCATION, region,"
                " credentials and their rights."
            ) from None


def _code(error: Exception) -> str:
    """Return S3's error code, or the class of another error."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


class _Counted:
    """A file that counts the bytes written to it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        self.size += len(data)
        return int(self._file.write(data))

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


class _Upload(threading.Thread):
    """Uploads the bytes that arrive through a pipe; fails if the pipe ends before `complete`."""

    def __init__(self, client: Any, bucket: str, key: str, source: Any) -> None:
        super().__init__(name="vaultr-upload", daemon=True)
        self.error: Exception | None = None
        self._client, self._source = client, source
        self._where = {"Bucket": bucket, "Key": key}
        self._complete = False

    def complete(self) -> None:
        """Allow the upload to end, because everything was written."""
        self._complete = True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; report the end only if the whole backup was written."""
        piece: bytes = self._source.read(size)
        if not piece and not self._complete:
            raise EOFError("the backup was not completed")
        return piece

    def run(self) -> None:
        """Upload everything."""
        try:
            self._client.upload_fileobj(self, **self._where)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self.error = error
        finally:
            self._source.close()
