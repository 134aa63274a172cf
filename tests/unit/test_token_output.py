"""A created token is shown or stored, whatever fails afterwards."""

import pytest

from vaultr.client.cli import output
from vaultr.client.cli.token_output import token_place
from vaultr.client.errors import VaultrError


def fail_after(token, file):
    with pytest.raises(VaultrError, match="later"):
        create_and_fail(token, file)


def create_and_fail(token, file):
    with token_place(file) as place:
        place.token = token
        raise VaultrError("a later step failed")


def test_created_token_is_stored_despite_a_later_error(tmp_path):
    file = tmp_path / "token"

    fail_after("vmt_created", file)

    assert file.read_text() == "vmt_created\n"


def test_created_token_is_printed_despite_a_later_error(monkeypatch, capsys):
    monkeypatch.setattr(output, "is_terminal", lambda: True)

    fail_after("vmt_created", None)

    assert capsys.readouterr().out == "vmt_created\n"


def test_failed_command_leaves_no_token_file(tmp_path):
    fail_after(None, tmp_path / "token")

    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_never_overwritten(tmp_path):
    (tmp_path / "token").write_text("kept")

    with pytest.raises(VaultrError, match="Name a new file: --out FILE"):
        token_place(tmp_path / "token").__enter__()

    assert (tmp_path / "token").read_text() == "kept"
