"""The commands of docs/migrating.md work as described, with a file of each format."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fixtures import foreign_files, make_keepass
from vaultr.client.cli.main import vaultr
from vaultr.client.imports.formats import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"
FILES = {
    "bitwarden.json": "bitwarden",
    "secrets-manager.json": "bitwarden-secrets",
    "export.1pux": "1password",
    "passwords.kdbx": "keepass",
    "keepass.xml": "keepass-xml",
    "proton.zip": "proton-pass",
    "shop.env": "dotenv",
    "secret.yaml": "kubernetes",
    **{f"{name}.csv": name for name in
       ("lastpass", "chrome", "firefox", "safari", "keepassxc", "psono", "passbolt")},
    **{f"{name}.json": name for name in ("doppler", "infisical")},
}  # fmt: skip
VAULTR = {"vaultr_export": 1, "exported_at": "2026-01-01T00:00:00Z", "vaults": [
    {"id": "v", "name": "Personal", "items": [
        {"id": "i", "type": "note", "overview": {"title": "a"}, "detail": {}}]}]}  # fmt: skip
COMMANDS = re.findall(r"vaultr import [a-z][^`\n]*", PAGE.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    contents = foreign_files.all_files()
    for file, name in FILES.items():
        (folder / file).write_bytes(contents[name])
    (folder / "table.csv").write_bytes(foreign_files.table(["Name", "Secret"], ["Mail", "p"]))
    (folder / "vaultr.json").write_text(json.dumps(VAULTR))
    return folder


@pytest.mark.parametrize("line", [each for each in COMMANDS if "password-store" not in each])
def test_migrating_page_command_reads_its_file(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    words = [*shlex.split(line)[1:], "--json"]
    words += [] if "--dry-run" in words else ["--dry-run"]
    monkeypatch.setattr("vaultr.client.cli.prompts.can_ask", lambda: True)
    monkeypatch.setattr(
        "vaultr.client.cli.prompts.ask_hidden", lambda *_, **__: make_keepass.PASSWORD
    )

    result = CliRunner().invoke(vaultr, words)

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["read"] >= 1


def test_migrating_page_lists_every_format():
    text = PAGE.read_text()

    for file in FILES:
        assert f"vaultr import {file}" in text
    assert set(FILES.values()) | {"csv", "pass", "vaultr"} == set(FORMATS)
