"""Secrets that `kubectl create secret` writes are imported with their values."""

import subprocess

from vaultr.client.imports import formats
from vaultr.client.imports.reading import ImportFile

VALUES = {"DATABASE_URL": "postgres://ann:p=w@db/app", "GREETING": "two words ✓\nand a line"}


def test_secret_from_kubectl_is_imported_as_environment_set():
    literals = [f"--from-literal={name}={value}" for name, value in VALUES.items()]
    words = ["create", "secret", "generic", "web", *literals, "--dry-run=client", "-o", "yaml"]

    written = subprocess.run(["kubectl", *words], capture_output=True, check=True).stdout

    [draft] = formats.recognise(written).read(ImportFile(written)).drafts
    assert (draft.type, draft.overview["title"]) == ("env_set", "web")
    assert draft.detail["variables"] == VALUES
