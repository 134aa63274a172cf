"""Huge numbers in the responses of a real server: in bodies, lines, texts and headers."""

import http.client
import json
import re
import tracemalloc
from urllib.parse import urlsplit

import pytest

from tests.harness.client.devices import PASSWORD
from tests.harness.client.huge_numbers import HUGE, MEMORY_BYTES
from tests.harness.client.tampering_proxy import typed
from tests.harness.client.wsgi_server import WsgiServer

EMAIL = "numbers@example.org"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
# A number as the value of a member, also in JSON inside a text, or as a line of a signed note.
MEMBER = re.compile(r'(\\?")(\w+)(\\?":\s?)(\d+)(?=[,}\]\s])')
NOTE_LINE = re.compile(r"(?<=\\n)(\d+)(?=\\n)")
HEADER = re.compile(r"\b\d+\b")
HEADERS = ("X-Vaultr-Checkpoint", "Retry-After")
OF_THE_CONNECTION = ("connection", "transfer-encoding", "content-length")
COMMANDS = {
    "audit verify": ("audit", "verify"),
    "audit list": ("audit", "list"),
    "audit export": ("audit", "export", "--out", "{folder}/bundle-{turn}.jsonl"),
    "sessions": ("sessions", "list"),
    "factors": ("totp", "list"),
    "doctor": ("doctor",),
    "archive": ("export", "--all", "-o", "{folder}/archive-{turn}.json"),
    "status": ("status",),
    "email": ("email", "change", "numbers2@example.org"),
    # Two errors whose responses also have numbers.
    "unknown session": ("sessions", "revoke", "00000000-0000-4000-8000-000000000007"),
    "no list of breaches": ("breach-check",),
}


class Tampering:
    """Forwards requests, and replaces the numbers at one place of the responses.

    ``place`` is (method, route, name); the name is that of a member or header, or "note" for all
    lines that are numbers. ``seen`` collects the places.
    """

    def __init__(self, url):
        self._netloc = urlsplit(url).netloc
        self.place = None
        self.seen = {}

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = environ.get("QUERY_STRING")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name not in ("HTTP_HOST", "HTTP_CONNECTION")
        }
        if kind := environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = kind
        upstream = http.client.HTTPConnection(self._netloc, timeout=30)
        upstream.request(method, f"{path}?{query}" if query else path, body or None, headers)
        response = upstream.getresponse()
        data = response.read()
        upstream.close()
        at = (method, ID.sub("ID", path))
        data = self._changed(at, data)
        kept = [
            (name, self._header(at, name, value))
            for name, value in response.getheaders()
            if name.lower() not in OF_THE_CONNECTION
        ]
        start_response(f"{response.status} -", [*kept, ("Content-Length", str(len(data)))])
        return [data]

    def _changed(self, at, data):
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data

        def member(match):
            self.seen.setdefault((*at, match[2]))
            is_it = self.place == (*at, match[2])
            return f"{match[1]}{match[2]}{match[3]}{HUGE}" if is_it else match[0]

        def line(match):
            self.seen.setdefault((*at, "note"))
            return str(HUGE) if self.place == (*at, "note") else match[0]

        return NOTE_LINE.sub(line, MEMBER.sub(member, text)).encode()

    def _header(self, at, name, value):
        if name in HEADERS:
            self.seen.setdefault((*at, name))
            if self.place == (*at, name):
                return HEADER.sub(str(HUGE), value)
        return value


class Owner:
    """An account on a real server behind the proxy."""

    def __init__(self, site, folder):
        self.between = Tampering(site.url)
        self.listening = WsgiServer(self.between)
        self.folder = folder
        self.turn = 0
        self.done("signup", "--email", EMAIL)
        self.done("verify", site.token(of=EMAIL), password=None)
        self.done("login", "--email", EMAIL)
        item = json.dumps({"overview": {"title": "Mail"}, "detail": {"password": "hunter2"}})
        self.done("add", "login", "--json", stdin=item)
        self.done("edit", "Mail", "--json", stdin=item.replace("hunter2", "second"))

    def types(self, *words, password=PASSWORD, stdin=""):
        self.turn += 1
        names = {"folder": self.folder, "turn": self.turn}
        environ = {
            "HOME": str(self.folder),
            "VAULTR_DIR": str(self.folder / "device"),
            "VAULTR_URL": self.listening.url,
            "VAULTR_AGENT": "off",
        }
        words = [word.format_map(names) for word in words]
        return typed(words, environ, {"--password-fd": password}, stdin)

    def done(self, *words, **more):
        result = self.types(*words, **more)
        assert result.code == 0, (words, result)
        return result


@pytest.fixture(scope="module")
def numbered(derived_at_once, site, tmp_path_factory):
    owner = Owner(site, tmp_path_factory.mktemp("live"))
    yield owner
    owner.listening.close()


def ran(owner, command):
    tracemalloc.start()
    try:
        result = owner.types(*COMMANDS[command])
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.matrix(2)
def test_huge_number_of_a_real_server_costs_no_memory(numbered, command, count):
    between = numbered.between
    between.place, between.seen = None, {}
    ran(numbered, command)
    places = list(between.seen)

    for place in places[:: max(1, len(places) // count(3, many=1_000))]:
        between.place = place
        result, peak = ran(numbered, command)

        assert result.code in (0, 1, 3, 4, 5), (place, result.err)
        assert "Traceback" not in result.err
        assert peak < MEMORY_BYTES, (place, peak)
        between.place = None
        if result.code == 3:
            numbered.done("login", "--email", EMAIL)
