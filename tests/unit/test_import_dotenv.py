import subprocess

import pytest

from vaultr.client.imports import dotenv
from vaultr.client.imports.problems import ImportProblems


def variables(text):
    data = text if isinstance(text, bytes) else text.encode()
    [draft] = dotenv.read(data, title="prod")
    assert (draft.type, draft.overview) == ("env_set", {"title": "prod"})
    return draft.detail["variables"]


def problems(text):
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ImportProblems) as rejected:
        dotenv.read(data, title="prod")
    return [str(problem) for problem in rejected.value.problems]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ("A=", ""),
        ("A=   ", ""),
        ("A = spaced ", "spaced"),
        ("export A=1", "1"),
        ("  export\tA=1", "1"),
        ("A=two words", "two words"),
        ("A=x # comment", "x"),
        ("A=x#y", "x#y"),
        ("A=#x", "#x"),
        ("A= # nothing", ""),
        ("A=back\\slash\\n", "back\\slash\\n"),
        ("A=it's", "it's"),
        ("A='single # \\n $x'", "single # \\n $x"),
        ("A='' # empty", ""),
        ("A='it'\\''s'", "it's"),
        ('A="double"', "double"),
        ('A="a\\nb\\tc\\rd"', "a\nb\tc\rd"),
        ('A="\\"q\\" \\\\ \\$x \\`y\\`"', '"q" \\ $x `y`'),
        ('A="\\x stays"', "\\x stays"),
        ('A="x"  # comment "y"', "x"),
        ("A=\"mixed\"'quotes'bare", "mixedquotesbare"),
        ('A="joined \\\nline"', "joined line"),
        ("A=x=y==", "x=y=="),
        ("A=ünïcode 🔐", "ünïcode 🔐"),
        ("A=$HOME/${B}-$(id)", "$HOME/${B}-$(id)"),
        ('A="$HOME/${B}"', "$HOME/${B}"),
    ],
)
def test_dotenv_value_is_parsed(line, value):
    assert variables(line + "\n") == {"A": value}
    assert variables(line) == {"A": value}


def test_quoted_value_may_span_lines():
    text = "KEY=\"-----BEGIN-----\nabc=\n# no comment\n-----END-----\"\nB='x\n\ny'\n"

    assert variables(text) == {
        "KEY": "-----BEGIN-----\nabc=\n# no comment\n-----END-----",
        "B": "x\n\ny",
    }


def test_comments_and_blank_lines_are_ignored():
    assert variables("# first\n\n   \t\n  # A=2\nA=1\n#end") == {"A": "1"}


def test_variables_keep_the_order_of_the_file():
    assert list(variables("Z=1\nA=2\nM=3\n")) == ["Z", "A", "M"]


def test_crlf_and_byte_order_mark_are_stripped():
    assert variables(b'\xef\xbb\xbfA=1\r\nB="x\r\ny"\r\n') == {"A": "1", "B": "x\ny"}


def test_carriage_return_in_quoted_value_stays():
    assert variables('A="x\r\ny"\nB=1\n') == {"A": "x\r\ny", "B": "1"}


def test_duplicate_name_is_reported_with_both_lines():
    assert problems("A=1\nB=2\nA=1\n") == ["line 3: A was already set in line 1"]


def test_every_invalid_line_is_reported_without_its_content():
    text = "A=1\nhunter2\n2B=x\nC='x' y\n\nD-E=hunter2\nC=3\nexport F\n"

    found = problems(text)

    assert [each.split(":")[0] for each in found] == [
        "line 2",
        "line 3",
        "line 4",
        "line 6",
        "line 8",
    ]
    assert "hunter2" not in "".join(found)


def test_lines_are_counted_through_quoted_values():
    assert problems('A="x\ny\nz"\n\nodd\n')[0].startswith("line 5:")


@pytest.mark.parametrize("text", ['A=1\nB="never\nC=2\n', "A=1\nB='never\nC=2", 'A=1\nB="x\\"'])
def test_unclosed_quote_is_reported_by_line(text):
    assert problems(text) == [
        "line 2: B opens a quote, or an escape, that is never closed",
    ]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only\n# comments\n", b"\xef\xbb\xbf"])
def test_dotenv_file_without_variables_is_rejected(data):
    assert len(problems(data)) == 1


def test_invalid_utf8_is_reported_by_line():
    assert "Line 2 is not UTF-8" in problems(b"A=1\nB=\xfc\n")[0]


def test_utf_16_file_is_reported_as_utf_16():
    assert "UTF-16" in problems("A=1\n".encode("utf-16"))[0]


def test_nul_in_value_is_rejected_by_variable_name():
    assert problems("A=x\0y\n") == ["line 1: A contains NUL, which is not possible"]


def test_oversized_set_is_rejected():
    assert "64 KiB" in problems(f"A={'x' * 70_000}\n")[0]


@pytest.mark.parametrize(
    "line",
    ["A='it'\\''s'", 'A="x\\$y \\"q\\""', "A='a\nb # c'", "A=\"p\"'q'r", "A=#x", "A=x#y", "A= # n"],
)
def test_dotenv_value_equals_value_in_sh(line):
    result = subprocess.run(
        ["sh", "-c", f'{line}\nprintf %s "$A"'], capture_output=True, check=True, text=True
    )

    assert variables(line)["A"] == result.stdout
