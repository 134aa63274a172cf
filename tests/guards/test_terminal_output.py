"""All output of the command passes through functions that escape control characters."""

import ast
from pathlib import Path

CLI = Path(__file__).parents[2] / "vaultr" / "client" / "cli"
# Where terminal output may be written directly, and why it contains nothing untrusted.
WRITERS = {
    "output.py",  # the functions that escape
}
# One progress line made of two numbers.
COUNTS = {"commands/rotate.py", "import_report.py"}
# Styled text, whose parts were escaped before they got their style.
STYLED = {"output.py", "commands/doctor.py"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def modules():
    return [(str(each.relative_to(CLI)), each) for each in CLI.rglob("*.py")]


def test_only_output_writes_to_the_terminal():
    direct = {"print", "click.echo", "click.secho", "click.echo_via_pager"}
    direct |= {f"sys.{name}.write" for name in ("stdout", "stderr")}
    direct |= {"sys.stdout.buffer.write", "sys.stderr.buffer.write"}

    found = {name for name, path in modules() if direct & {*calls(path)}}

    assert found <= WRITERS | COUNTS


def test_only_escaped_parts_are_styled():
    styled = {"output.say_styled", "say_styled", "click.style"}

    found = {name for name, path in modules() if styled & {*calls(path)}}

    assert found <= STYLED
