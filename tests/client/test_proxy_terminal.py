"""`vaultr` and names from other sources, which must not control the terminal."""

import pytest

from vaultr.client.cli import output

EVIL = "evil\x1b]0;owned\x07\x1b[2J.env"


def test_import_escapes_the_name_of_the_file(proxy):
    file = proxy.folder / EVIL
    file.write_text("NAME=value\n")

    imported = proxy.types("import", str(file))
    missing = proxy.types("import", str(file) + "2")

    assert imported.code == 0, imported.err
    assert missing.code == 2
    for finished in (imported, missing):
        assert "\x1b" not in finished.out + finished.err
        assert "\x07" not in finished.out + finished.err
    assert r"evil\x1b" in imported.out


@pytest.mark.parametrize("write", [output.print_line, output.print_note])
def test_print_functions_escape_unescaped_input(write, capsys):
    write(f"Read {EVIL}\nsecond line")

    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert (out + err).count("\n") == 2
