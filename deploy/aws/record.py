"""The record of a release: its snapshot, and what ran before it."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from pathlib import Path

from account import Rejected


class Record:
    """What a release stores so that it can be continued or rolled back.

    ``path`` contains only the id of the snapshot, for people and other scripts; ``path``.json has
    the release and the previous task definitions.
    """

    def __init__(self, path):
        self.path = path
        self.details = path.with_name(f"{path.name}.json")
        self.values = {}
        if self.details.exists():
            self.values = self._read()

    def _read(self):
        try:
            found = json.loads(self.details.read_text("utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict) or "tag" not in found:
            raise Rejected(f"{self.details} is not the record of a release. Choose another FILE")
        return found

    @property
    def before(self):
        """Return what ran before the release, or None."""
        return self.values.get("before")

    @property
    def begun(self):
        """Return whether a release recorded what ran before it and was not rolled back."""
        return bool(self.before) and not self.values.get("rolled_back")

    @property
    def snapshot(self):
        return self.path.read_text("utf-8").strip() if self.path.exists() else None

    def belongs(self, options):
        """Check that the record is new, or belongs to this release.

        :raises Rejected: it belongs to another release.
        """
        if not self.values and self.path.exists():
            raise Rejected(f"{self.path} exists and is not a release record. Choose another FILE")
        for name, value in self._identity(options).items():
            if self.values and self.values.get(name) != value:
                raise Rejected(
                    f"{self.path} is the record of {self.values['tag']} to"
                    f" {self.values.get('target')} from {self.values.get('instance')}. Choose"
                    " another FILE"
                )

    @staticmethod
    def _identity(options):
        return {
            "target": options.target, "tag": options.tag, "name": options.name,
            "instance": options.instance,
        }  # fmt: skip

    def begin(self, options):
        """Store what is released, with a token that only this record has."""
        token = self.values.get("token") or secrets.token_hex(16)
        self._save({**self._identity(options), "token": token})

    @property
    def token(self):
        """Return the token that identifies the release's lock; empty in old records."""
        return self.values.get("token", "")

    @contextlib.contextmanager
    def used(self):
        """Lock the record against other processes of this machine.

        :raises Rejected: another one uses it.
        """
        place = hashlib.sha256(str(self.details.resolve()).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir(), f"vaultr-release-{os.getuid()}-{place}.lock")
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Rejected(f"another command uses {self.path}. Wait until it ends") from None
            if self.details.exists():
                self.values = self._read()
            yield

    def forget(self):
        """Remove the record of a release that was rejected before it created a snapshot."""
        if not self.path.exists() and not self.path.with_name(f"{self.path.name}.part").exists():
            self.details.unlink(missing_ok=True)

    def remember(self, before):
        self._save({"before": before, "rolled_back": False})

    def end(self):
        """Record that the previous version runs again; the same release would start over."""
        self._save({"rolled_back": True})

    def _save(self, values):
        self.values |= values
        written = self.details.with_name(f"{self.details.name}.part")
        written.write_text(f"{json.dumps(self.values, indent=2)}\n", "utf-8")
        os.replace(written, self.details)
