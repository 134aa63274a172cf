"""Tables on a terminal, with any content in their cells."""

import os
import time

import pytest

from vaultr.client.cli import output


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize(("text", "shown"), [
    ("a" * 40, "a" * 16 + "…"), ("é" * 40, "é" * 16 + "…"), ("界" * 40, "界" * 8 + "…"),
    ("e\u0301" * 40, "e\u0301" * 16 + "…"), ("short", "short"),
])  # fmt: skip
def test_cell_is_truncated_to_column_width(narrow, capsys, text, shown):
    output.print_table(("TITLE", "ID"), [(text, "i" * 11)])

    assert capsys.readouterr().out.splitlines()[1].split("  ")[0].rstrip() == shown


def test_long_cell_is_truncated_quickly(narrow, capsys):
    began = time.thread_time()  # CPU time, because it waits for nothing
    output.print_table(("TITLE", "FOLDER", "ID"), [("t", "é" * 16_000, "i")])

    assert time.thread_time() - began < 2.0
