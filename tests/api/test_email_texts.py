"""Text, HTML, link and subject of every email."""

import importlib
import inspect
import pkgutil
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from uuid import UUID

import pytest

import vaultr.auth.emails
from vaultr.auth.emails.devices import DeviceUse
from vaultr.mail.message import Email
from vaultr.mail.rendering import compose, quote

TOKEN = "Tk-" + "x" * 40
BASE = "http://localhost"
LINK = re.compile(r"https?://\S+")
GIVEN = {
    UUID: UUID(int=7),
    bool: True,
    int: 3,
    datetime: datetime(2031, 5, 4, 12, tzinfo=UTC),
    DeviceUse: DeviceUse("Ann's laptop", "browser", "192.0.2.0/24"),
}


class Seen(HTMLParser):
    """The visible text of a page, and the URLs that it would load."""

    def __init__(self, html):
        super().__init__()
        self.words, self.links, self.tags, self.open = [], [], set(), []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.open.append(tag)
        provided = dict(attributes)
        assert not {"src", "srcset", "background", "onclick"} & provided.keys()
        assert "url(" not in provided.get("style", "")
        if "href" in provided:
            self.links.append(provided["href"])

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "title" not in self.open and "h1" not in self.open:
            self.words += data.split()


def writers():
    """List all functions that write an email, in all modules."""
    for module in pkgutil.iter_modules(vaultr.auth.emails.__path__, "vaultr.auth.emails."):
        loaded = importlib.import_module(module.name)
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            if function.__module__ == module.name and not name.startswith("_"):
                hints = inspect.get_annotations(function, eval_str=True)
                if hints.pop("return") is Email:
                    yield pytest.param(function, hints, id=f"{module.name[19:]}.{name}")


def argument(name, kind):
    """Return a test value for a parameter; a text is a secret or an address, except in lists."""
    if kind is str:
        return "new@example.org" if "email" in name else TOKEN
    return GIVEN.get(kind, ["laptop"])


@pytest.fixture
def email_message(request, sqlite_app):
    function, hints = request.param
    with sqlite_app.app_context():
        return function(**{name: argument(name, kind) for name, kind in hints.items()})


ALL = [pytest.param((one.values[0], one.values[1]), id=one.id) for one in writers()]
each = pytest.mark.parametrize("email_message", ALL, indirect=True)


def test_collected_emails_have_unique_ids():
    assert len(ALL) > 15
    assert len({one.id for one in ALL}) == len(ALL)


@each
def test_link_or_token_is_on_separate_line(email_message):
    for line in email_message.text.splitlines():
        assert line == line.strip()
        if LINK.search(line):
            assert LINK.fullmatch(line)
            assert line.startswith(f"{BASE}/")
        elif TOKEN in line:
            assert line == TOKEN


@each
def test_email_subject_contains_no_secret(email_message):
    assert TOKEN not in email_message.subject
    assert not re.search(r"[0-9a-f]{8}|@|://|[\r\n]", email_message.subject)
    assert 10 < len(email_message.subject) < 78
    assert email_message.kind in re.fullmatch(r"[a-z]+(-[a-z]+)*", email_message.kind)[0]


@each
def test_html_part_matches_text_and_loads_nothing(email_message):
    seen = Seen(email_message.html)

    assert seen.words == email_message.text.split()
    assert seen.links == LINK.findall(email_message.text)
    assert seen.tags <= {
        "html", "head", "meta", "title", "body", "div", "h1", "p", "a", "code",
    }  # fmt: skip


@each
def test_email_names_its_server(email_message):
    assert "localhost" in email_message.text


def test_email_kinds_are_counted_separately(sqlite_app):
    with sqlite_app.app_context():
        kinds = [
            function(**{name: argument(name, kind) for name, kind in hints.items()}).kind
            for function, hints in (one.values[0] for one in ALL)
        ]

    assert len(set(kinds)) == len(kinds)


def test_email_content_is_escaped():
    email_message = compose("some", "About <this> & that", "a < b & c", f"{BASE}/x?token=a&b=c")

    assert email_message.text == f"a < b & c\n\n{BASE}/x?token=a&b=c\n"
    assert Seen(email_message.html).links == [f"{BASE}/x?token=a&b=c"]
    assert "<this>" not in email_message.html


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ann's laptop (2nd)", "\u201cAnn's laptop (2nd)\u201d"),
        (
            "win https://evil.example now",
            "\u201cwin https\u00b7\u00b7\u00b7evil\u00b7example now\u201d",
        ),
        ("a@b.example", "\u201ca\u00b7b\u00b7example\u201d"),
        ("\u043f\u043a <b>", "\u201c\u043f\u043a \u00b7b\u00b7\u201d"),
    ],
)
def test_user_chosen_name_cannot_become_a_link(name, shown):
    assert quote(name) == shown
