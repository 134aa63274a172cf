"""Export everything to one file, after asking for the password again, and import it."""

import json
import stat

import pytest

FILE_PASSWORD = "a password of the file"


@pytest.fixture(scope="module")
def device(own_device):
    """A device whose account no other module uses."""
    return own_device


def test_exports_are_private_and_importing_them_adds_nothing(device, tmp_path):
    device.done("add", "note", "--title", "Leaving", stdin="text")
    plain, sealed = tmp_path / "plain.json", tmp_path / "sealed.json"

    result = device.types("export", "--all", "--format", "json", "-o", str(plain))
    also = {"--file-password-fd": FILE_PASSWORD}
    done = ("export", "--all", "--format", "json", "--seal", "-o", str(sealed))
    device.done(*done, also=also)

    assert result.returncode == 0, result.stderr
    assert "every secret in plain text" in result.stderr
    assert stat.S_IMODE(plain.stat().st_mode) == stat.S_IMODE(sealed.stat().st_mode) == 0o600
    assert "Leaving" in plain.read_text()
    assert "Leaving" not in sealed.read_text()
    again = device.run_json("import", str(sealed), also=also)
    assert (again["imported"], again["differing"]) == (0, [])
    assert again["same"] == len(json.loads(plain.read_text())["vaults"][0]["items"])
    device.done("rm", "Leaving", "--forever", "--yes")


def test_export_of_all_items_checks_its_options_first(device, tmp_path):
    file = str(tmp_path / "x")

    def rejected(*words):
        return device.fails(2, "export", *words, password=None)

    assert "--all needs --format" in rejected("--all", "--seal", "-o", file)
    assert "needs the master password" in rejected("--all", "-o", file)
    assert "--all needs -o FILE" in rejected("--all", "--format", "csv")
    assert "--seal needs --format json" in rejected(
        "--all", "--format", "csv", "--seal", "-o", file
    )
    assert "--all exports items" in rejected("shop", "--all", "--format", "csv", "-o", file)
    assert "need --all" in rejected("shop", "--format", "csv")
    assert "Name the environment sets" in rejected("--format", "json")
    assert "needs the master password" in rejected("--all", "--format", "csv", "-o", file)
