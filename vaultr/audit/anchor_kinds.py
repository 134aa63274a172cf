"""The kinds of anchors: file, syslog, bucket with object lock, witness."""

import importlib
import json
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from sqlalchemy.orm import Session

from vaultr.audit import signing, tree
from vaultr.protocol import notes
from vaultr.protocol.notes import COSIGNATURE, Checkpoint, NoteInvalid, VerificationKey
from vaultr.settings import authorities
from vaultr.settings.model import Settings
from vaultr.settings.types import loopback

TIMEOUT_SECONDS: Final = 5.0
_SYSLOG_PORT: Final = 514
_SYSLOG_PRIORITY: Final = 110  # log audit, informational (RFC 5424)
_MOST_BYTES: Final = 64 * 1024
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_KEY_DIGITS: Final = 20


class AnchorFailed(Exception):
    """An anchor rejected a checkpoint, or cannot be read."""


class Anchor(Protocol):
    """A copy of checkpoints outside of the database."""

    url: str
    kind: str

    def send(self, note: str, session: Session) -> str:
        """Store a note; return the witness's cosignature, or an empty string."""

    def newest(self) -> str | None:
        """Return the newest checkpoint; None if none exists, or if the anchor cannot be read."""


def of(url: str, settings: Settings) -> Anchor:
    """Return the anchor for a URL, with the witness keys and authorities of ``settings``.

    :raises ValueError: no kind of anchor has such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return FileAnchor(url, Path(unquote(parts.path)))
    if parts.scheme == "syslog" and parts.hostname:
        return SyslogAnchor(url, parts.hostname, parts.port or _SYSLOG_PORT)
    if parts.scheme == "s3" and parts.netloc:
        return BucketAnchor(url, parts.netloc, parts.path.strip("/"), settings)
    if _is_witness(parts):
        keys = [VerificationKey.parse(key) for key in settings.audit_witness_keys]
        return WitnessAnchor(url, keys, settings.tls_context())
    raise ValueError("file:///…, syslog://HOST, s3://BUCKET/PREFIX or witness+https://…")


def _is_witness(parts: SplitResult) -> bool:
    is_local = parts.scheme == "witness+http" and loopback(parts.hostname or "")
    return bool(parts.hostname) and (parts.scheme == "witness+https" or is_local)


class FileAnchor:
    """A file to which each note is appended as one line of JSON."""

    kind = "file"

    def __init__(self, url: str, path: Path) -> None:
        self.url = url
        self._path = path

    def send(self, note: str, session: Session) -> str:
        """Append the note, and flush it to disk."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open(os.open(self._path, flags, 0o600), "ab") as file:
                file.write(json.dumps(note).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise AnchorFailed(error.strerror or "cannot be written") from error
        return ""

    def newest(self) -> str | None:
        """Return the newest checkpoint in the last lines; skip a truncated line."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - _MOST_BYTES))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            # an unmounted volume must not look like an empty file
            if not self._path.parent.is_dir():
                raise AnchorFailed("its folder does not exist") from None
            return None
        except OSError as error:
            raise AnchorFailed(error.strerror or "cannot be read") from error
        for line in reversed(lines):
            try:
                note = str(json.loads(line))
                Checkpoint.of_note(note)
            except (ValueError, NoteInvalid):
                continue
            return note
        return None


class SyslogAnchor:
    """A syslog receiver (RFC 5424 over UDP); it cannot be read back."""

    kind = "syslog"

    def __init__(self, url: str, host: str, port: int) -> None:
        self.url = url
        self._address = (host, port)

    def send(self, note: str, session: Session) -> str:
        """Send the note as one message."""
        send_syslog(self._address, json.dumps(note))
        return ""

    def newest(self) -> str | None:
        """Return None: a syslog receiver cannot be read."""
        return None


def send_syslog(address: tuple[str, int], text: str) -> None:
    """Send one message to a syslog receiver.

    :raises AnchorFailed: it cannot be sent.
    """
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = f"<{_SYSLOG_PRIORITY}>1 {moment} {socket.gethostname()} vaultr - audit - {text}"
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family[0], socket.SOCK_DGRAM) as sender:
            sender.sendto(message.encode(), family[4])
    except OSError as error:
        raise AnchorFailed(error.strerror or "cannot be sent") from error


class BucketAnchor:
    """An S3 bucket with object lock; needs the extra `s3`."""

    kind = "s3"

    def __init__(self, url: str, bucket: str, prefix: str, settings: Settings) -> None:
        self.url = url
        self._bucket, self._settings = bucket, settings
        self._prefix = f"{prefix}/" if prefix else ""

    def send(self, note: str, session: Session) -> str:
        """Store the note as an object whose name sorts before all older names."""
        self._call("put_object", Key=self._key(note), Body=note.encode())
        return ""

    def newest(self) -> str | None:
        """Return the newest checkpoint of the bucket."""
        prefix = f"{self._prefix}checkpoint-"
        listed = self._call("list_objects_v2", Prefix=prefix, MaxKeys=1)
        for entry in listed.get("Contents", ()):
            body = self._call("get_object", Key=entry["Key"])["Body"]
            return str(body.read(_MOST_BYTES).decode())
        return None

    def _key(self, note: str) -> str:
        try:
            checkpoint = Checkpoint.of_note(note)
        except NoteInvalid:
            change = notes.KeyChange.parse(notes.parse(note).text)
            return f"{self._prefix}key-change-{change.epoch}"
        epoch, size = (10**_KEY_DIGITS - number for number in (checkpoint.epoch, checkpoint.size))
        return f"{self._prefix}checkpoint-{epoch:0{_KEY_DIGITS}}-{size:0{_KEY_DIGITS}}"

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            boto3: Any = importlib.import_module("boto3")
            config: Any = importlib.import_module("botocore.config").Config(
                connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS,
                retries={"max_attempts": 1},
            )  # fmt: skip
            trusted = authorities.file_for_boto3(self._settings)
            client = boto3.client("s3", config=config, verify=trusted)
            return getattr(client, operation)(Bucket=self._bucket, **arguments)
        except ImportError:
            raise AnchorFailed("boto3 is missing: install vaultr[server,s3]") from None
        except Exception as error:
            response: Any = getattr(error, "response", {})
            code = response.get("Error", {}).get("Code")
            raise AnchorFailed(str(code or type(error).__name__)) from error


class WitnessAnchor:
    """A witness (C2SP tlog-witness), which cosigns checkpoints that extend the last one it saw."""

    kind = "witness"

    def __init__(self, url: str, keys: list[VerificationKey], trusting: ssl.SSLContext) -> None:
        self.url, self._trusting = url, trusting
        self._keys = [key for key in keys if key.kind == COSIGNATURE]
        self._sizes: dict[int, int] = {}

    def send(self, note: str, session: Session) -> str:
        """Submit a checkpoint; return the cosignature of a trusted witness key."""
        try:
            checkpoint = Checkpoint.of_note(note)
        except NoteInvalid:
            return ""  # a change of key: witnesses accept only checkpoints
        old = self._sizes.get(checkpoint.epoch, 0)
        status, body = self._post(checkpoint, note, old, session)
        if status == 409 and (match := _SIZE.fullmatch(body)):
            old = int(match[1])
            if old > checkpoint.size:
                raise AnchorFailed("the witness has seen a larger tree")
            status, body = self._post(checkpoint, note, old, session)
        if status != 200:
            raise AnchorFailed(f"the witness returned status {status}")
        self._sizes[checkpoint.epoch] = checkpoint.size
        return self._cosignature(note, body)

    def newest(self) -> str | None:
        """Return None: a witness does not return checkpoints."""
        return None

    def _post(
        self, checkpoint: Checkpoint, note: str, old: int, session: Session
    ) -> tuple[int, bytes]:
        path: list[bytes] = []
        if 0 < old < checkpoint.size:
            path = tree.consistency(session, checkpoint.epoch, old, checkpoint.size)
        proof = "".join(f"{notes.encode(node)}\n" for node in path)
        data = f"old {old}\n{proof}\n{note}".encode()
        url = f"{self.url.removeprefix('witness+').rstrip('/')}/add-checkpoint"
        request = urllib.request.Request(url, data, method="POST")
        try:
            with urllib.request.urlopen(  # nosec B310 - the scheme is https
                request, timeout=TIMEOUT_SECONDS, context=self._trusting
            ) as answer:
                return answer.status, answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(_MOST_BYTES)
        except (OSError, ValueError) as error:
            raise AnchorFailed(type(error).__name__) from error

    def _cosignature(self, note: str, body: bytes) -> str:
        try:
            signed = notes.parse(f"{notes.parse(note).text}\n{body.decode()}")
        except (NoteInvalid, UnicodeDecodeError) as error:
            raise AnchorFailed("the witness returned no signature") from error
        if not any(signed.signed_by(key, signing.verify) for key in self._keys):
            raise AnchorFailed("no key of AUDIT_WITNESS_KEYS has cosigned")
        return body.decode()
