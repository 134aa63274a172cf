"""Commands: an error is one line and exit code 1, a result is text or JSON."""

import json

import click
from click.testing import CliRunner

from vaultr.database import engine
from vaultr.errors import Conflict
from vaultr.operator_cli import command, json_option, show


@click.command("ask")
@click.option("--reject", is_flag=True)
@json_option
@command
def ask(*, reject, as_json):
    """Ask."""
    if reject:
        raise Conflict("The vault is being moved.")
    show({"waits": engine.deadline.get()}, as_json=as_json, lines=lambda: ["It waits."])


def test_output_is_text_or_json():
    lines, text = CliRunner().invoke(ask), CliRunner().invoke(ask, ["--json"])

    assert (lines.exit_code, lines.stdout) == (0, "It waits.\n")
    assert json.loads(text.stdout) == {"waits": None}  # a command may take longer
    assert engine.deadline.get() == engine.DEADLINE_SECONDS


def test_error_is_one_line_with_exit_1():
    done = CliRunner().invoke(ask, ["--reject"])

    assert done.exit_code == 1
    assert done.stderr == "Error: The vault is being moved.\n"
    assert done.stdout == ""
