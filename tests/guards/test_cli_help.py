"""Every command and option of `vaultr` has a help text in the style of git, gh and op."""

import click
import pytest

from vaultr.client.cli.main import vaultr

MAX_CHARACTERS = 70
# First words of commands that are not imperative verbs.
NOT_A_VERB = {"A", "An", "The", "Commands", "This", "What", "Give", "Tell", "Say"}


def commands(group=vaultr, path=("vaultr",)):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = [(("vaultr",), vaultr), *commands()]
each_command = pytest.mark.parametrize(
    ("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS]
)


@each_command
def test_command_help_starts_with_a_short_verb_phrase(path, command):
    summary = command.help.partition("\n\n")[0]

    assert len(summary) <= MAX_CHARACTERS
    assert "\n" not in summary
    assert summary.endswith(".")
    assert summary[0].isupper()
    assert summary.split()[0] not in NOT_A_VERB


@each_command
def test_option_help_is_a_short_phrase_without_full_stop(path, command):
    with click.Context(command, info_name=path[-1]) as context:
        options = [each for each in command.get_params(context) if isinstance(each, click.Option)]

    for option in options:
        assert option.help, option.opts
        assert len(option.help) <= MAX_CHARACTERS, option.help
        assert not option.help.endswith("."), option.help
        assert option.help[0].isupper(), option.help


@each_command
def test_argument_names_are_in_capitals(path, command):
    for parameter in command.params:
        if isinstance(parameter, click.Argument) and parameter.metavar is not None:
            assert parameter.metavar == parameter.metavar.upper(), path


@each_command
def test_command_has_an_example_that_starts_with_its_name(path, command):
    name = " ".join(path)

    assert command.examples
    assert all("vaultr" in example for example in command.examples)
    assert any(name in example for example in command.examples)
