"""Every `flask …` and `vaultr …` command in a page, the chart or a message exists."""

import re

import click
import pytest
from flask.cli import FlaskGroup, ScriptInfo

from tests.guards import source_tree
from tests.harness import app_fixtures
from vaultr.client.cli.main import vaultr

WHERE = (
    *("README.md", "CHANGELOG.md", "Dockerfile", "Makefile", "docker-compose.yml"),
    *("docs/*.md", "config/*", "deploy/**/*", "helm/**/*", "vaultr/**/*.py"),
)
COMING: set[str] = set()
_FENCED = re.compile(r"^```.*?^```", re.M | re.S)
_SPAN = re.compile(r"`([^`]+)`")
_LINE = re.compile(r"^(?: {4,}|\t| *(?:command|entrypoint|Example|RUN|CMD):? *|- )(.*)$", re.M)
_EXAMPLE = re.compile(r"^ *Example: (.*)$", re.M)
_LISTED = re.compile(r"[\"'](flask|vaultr)[\"'](?:,? *[\"'][^\"'\n]+[\"'])+")
_FLASK = re.compile(r"(?:.*[\s;&|(/\[@])?(flask)[ ,]+(.*)")
# The word is also the name of a namespace, a database and a user, so it must come first.
_VAULTR = re.compile(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(vaultr) +(.*)")
_END = re.compile(r"\s#|[`;|&<>)\]]|\\$")
_COMMAND = re.compile(r"[a-z][a-z-]*")
_OPTION = re.compile(r"--?[a-z][\w-]*")
_PUNCTUATION = re.compile(r"[\"',]+")


def named(text, *, code=False):
    """Yield each command in ``text``, as (program, words).

    :param code: ``text`` is a program, whose lines are not commands, except for examples.
    """
    rest = _FENCED.sub("", text)
    codes = [line for block in _FENCED.findall(text) for line in block.splitlines()]
    codes += [span.replace("\n", " ") for span in _SPAN.findall(rest)]
    codes += (_EXAMPLE if code else _LINE).findall(rest)
    codes += [found[0] for found in _LISTED.finditer(rest)]
    for each in codes:
        plain = _PUNCTUATION.sub(" ", each).strip()
        for typed in filter(None, (_FLASK.fullmatch(plain), _VAULTR.fullmatch(plain))):
            words = _END.split(typed[2])[0].split()
            if words and (_COMMAND.fullmatch(words[0]) or _OPTION.fullmatch(words[0])):
                yield typed[1], tuple(words)


def missing(context, words):
    """Return the part of a command that does not exist; None if all of it exists.

    A word in capitals stands for a value, and a group may be named without its commands.
    """
    command, words = context.command, list(words)
    known = _options(command)  # each with whether it takes a value
    while isinstance(command, click.Group):
        while words and _OPTION.match(words[0]):
            option, joined, _ = words.pop(0).partition("=")
            if option not in known:
                return option
            if known[option] and not joined:
                words.pop(0)
        if not words or not _COMMAND.fullmatch(words[0]):
            return None
        command = command.get_command(context, words[0])
        if command is None:
            return words[0]
        words.pop(0)
        known |= _options(command)
    ours = words[: words.index("--")] if "--" in words else words
    provided = [word.partition("=")[0] for word in ours if _OPTION.match(word)]
    return next((option for option in provided if option not in known), None)


def _options(command):
    named = {
        name: not getattr(one, "is_flag", True)
        for one in command.params
        for name in (*one.opts, *one.secondary_opts)
    }
    return {"--help": False, **named}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Yield both programs, each as the context in which its commands are looked up."""
    home = tmp_path_factory.mktemp("commands")
    app = app_fixtures.create_app(
        app_fixtures.Settings.from_environ(app_fixtures.environ_for(home))
    )
    flask = FlaskGroup(create_app=lambda: app)
    script = ScriptInfo(create_app=lambda: app)
    # Looking up a command pushes the app's context, which ends when this one is closed.
    with (
        click.Context(flask, info_name="flask", obj=script) as of_flask,
        click.Context(vaultr, info_name="vaultr") as of_vaultr,
    ):
        yield {"flask": of_flask, "vaultr": of_vaultr}


def test_named_commands_and_options_exist(programs):
    paths = [
        path
        for where in WHERE
        for path in source_tree.ROOT.glob(where)
        if path in source_tree.files()
    ]
    found = {
        f"{source_tree.shown(path)}: {program} {' '.join(words)}": missing(programs[program], words)
        for path in paths
        for program, words in named(path.read_text(), code=path.suffix == ".py")
    }

    assert len(found) > 150
    assert {place for place, what in found.items() if what is not None} == COMING


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Now `flask backups create --dir DIR`.", "backups"),
        ("`flask ops switch writes off --bye NAME`", "--bye"),
        ('        "flask", "mail", "resend"', "resend"),
        ("    docker compose exec app flask ops dayly | tee log", "dayly"),
        ("```sh\n$ vaultr login --emial a@b.example\n```", "--emial"),
        ("command: [flask, work]", "work"),
        ("`flask ops daily\n--jsn`", "--jsn"),
    ],
)
def test_missing_command_is_reported(programs, text, what):
    [(program, words)] = set(named(text))

    assert missing(programs[program], words) == what


@pytest.mark.parametrize(
    "text",
    [
        "`flask ops switch maintenance 'Back at 14:00 UTC.' --by NAME`",
        "`vaultr run --env-set prod -- cmd --whatever`",
        "`flask --app wsgi worker --only outbox`",
        "`flask accounts`",
        "    METRICS_PORT=9465 flask worker",
    ],
)
def test_existing_command_is_accepted(programs, text):
    [(program, words)] = set(named(text))

    assert missing(programs[program], words) is None


def test_prose_and_other_programs_are_not_read_as_commands():
    assert list(named("The flask app; pip install vaultr; `kubectl -n vaultr get pods`")) == []
