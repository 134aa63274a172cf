"""From signup to a program that runs with an environment set; then what the server knows of it."""

import json
import re
import subprocess
import sys

import psycopg2
import pytest
import redis

from tests.first_hour.leaks import strings
from tests.first_hour.transcript import PAGE, Transcript
from tests.first_hour.world import Person, Site, token_of
from tests.fixtures.make_bitwarden import export
from tests.harness import servers
from vaultr.backup.marker_search import found_in

EMAIL = "ann.lindqvist@example.org"
PASSWORD = "gravel-harbour-violet-tundra-7"
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://app:Xq7-vinegar-lamp@db.internal/shop",
    "STRIPE_KEY": "sk_live_8Zr2kQ0pLmT4",
    "GREETING": 'Grüße aus dem Tresor, it\'s "quoted"',
}
PROGRAM = "import json, os, sys; json.dump(dict(os.environ), sys.stdout); sys.exit(7)"


@pytest.fixture
def site(tmp_path, postgres_url, redis_url):
    url = servers.fresh_database(postgres_url)
    site = Site(tmp_path / "server", url, redis_url)
    site.home.mkdir()
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushdb()
    site.upgrade()
    site.start()
    yield site
    site.stop()


@pytest.fixture
def transcript(site, tmp_path):
    transcript = Transcript()
    transcript.hides(site.url, "http://127.0.0.1:3000")
    transcript.hides(f"{tmp_path}/", "")
    return transcript


def test_the_first_hour_leaves_nothing_readable_on_the_server(
    site, tmp_path, redis_url, transcript, pytestconfig
):
    bitwarden = _searchable(export(500))
    laptop = Person(tmp_path / "laptop", site, EMAIL, PASSWORD, transcript)
    phone = Person(tmp_path / "phone", site, EMAIL, PASSWORD, transcript)

    key = _moves_in(laptop, site, transcript)
    _imports(laptop, tmp_path, bitwarden, transcript)
    _runs_a_program(laptop, tmp_path, transcript)
    _sees_the_same(phone, key, laptop, transcript)
    _edits_on_both(laptop, phone, transcript)
    _survives_a_restart(laptop, phone, site, transcript)

    heap = _everything_stored(site, redis_url)
    values = {*strings(bitwarden), *ENVIRONMENT.values(), PASSWORD, key, *_edited()}
    values -= _not_secret(bitwarden)
    assert found_in(values, heap) == set()
    value = sorted(values)[0]
    assert found_in({value}, heap + value.encode("utf-16-le")) == {value}
    if pytestconfig.getoption("--write-docs"):
        PAGE.write_text(transcript.page())
    assert PAGE.read_text() == transcript.page(), "written anew by: pytest --write-docs"


def _moves_in(laptop, site, transcript):
    transcript.says("Sign up. The secret key is shown only once: write it down.")
    shown = laptop.shows("signup", "--email", EMAIL)
    key = re.search(r"^Secret key: (\S{43})$", shown, re.M)[1]
    code = re.search(r"\b[0-9a-f]{8}\b", shown)[0]
    transcript.hides(key, "<secret key>")
    transcript.hides(code, "<code>")
    mail = site.mail()
    assert code in mail

    transcript.says(
        "In development, the email is a file in `var/mail/`. Open its link, or use its token:"
    )
    token = token_of(mail)
    transcript.hides(token, "<token>")
    laptop.shows("verify", token, password=False)
    laptop.shows("unlock")
    return key


def _imports(laptop, tmp_path, bitwarden, transcript):
    file = tmp_path / "bitwarden.json"
    file.write_text(json.dumps(bitwarden))
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(bitwarden)[:5000])
    transcript.says(
        "Import a file that another password manager exported. If one entry is wrong, nothing is "
        "imported:"
    )
    laptop.shows("import", str(broken), code=1, password=False)
    assert laptop.run_json("list", password=False) == []

    laptop.shows("import", str(file), password=False)

    assert len(laptop.run_json("list", password=False)) == len(bitwarden["items"])
    transcript.says("Add a login and find it again:")
    added = {"overview": {"title": "Harbour mail", "username": "ann"}}
    added["detail"] = {"password": _edited()[2]}
    done = laptop.types("add", "login", "--json", stdin=json.dumps(added), password=False)
    asked = _asked(json.loads(done.stdout)["id"])
    transcript.ran((), asked, typed="vaultr add login --title 'Harbour mail' --username ann")
    laptop.shows("list", "harbour", password=False)
    laptop.shows("show", "Harbour mail", password=False)


def _asked(item_id):
    """Return what a terminal would show, where the test hands the item over as JSON."""
    shown = ("Password (empty for none):", "TOTP secret (empty for none):")
    shown = (*shown, f"Added: Harbour mail ({item_id})")
    return subprocess.CompletedProcess((), 0, "\n".join(shown), "")


def _runs_a_program(laptop, tmp_path, transcript):
    file = tmp_path / ".env"
    quoted = {"GREETING": "'Grüße aus dem Tresor, it'\"'\"'s \"quoted\"'"}
    file.write_text("".join(f"{n}={quoted.get(n, v)}\n" for n, v in ENVIRONMENT.items()))
    transcript.says(
        "Import a dotenv file. Its variables go to one program, and are stored nowhere else:"
    )
    laptop.shows("import", str(file), "--title", "prod", password=False)
    laptop.shows("run", "--env-set", "prod", "--", "printenv", "GREETING", password=False)

    done = laptop.types(
        "run", "--env-set", "prod", "--", sys.executable, "-c", PROGRAM, code=7, password=False
    )

    environment = json.loads(done.stdout)
    assert {name: environment.get(name) for name in ENVIRONMENT} == ENVIRONMENT


def _sees_the_same(phone, key, laptop, transcript):
    transcript.says(
        "A second device needs the secret key. Without it, the command stops before it sends "
        "anything:"
    )
    phone.shows("login", "--email", EMAIL, code=1)
    phone.shows("login", "--email", EMAIL, secret_key=key)
    phone.shows("unlock")
    phone.shows("sync", password=False)

    assert _by_id(phone) == _by_id(laptop)


def _edits_on_both(laptop, phone, transcript):
    name = "Harbour mail"
    transcript.says("If two devices change different fields of an item, both changes are kept:")
    seen = phone.run_json("show", name, "--reveal", password=False)
    laptop.shows("edit", name, "--set", f"username={_edited()[0]}", password=False)

    mine = {"revision": seen["revision"], "detail": {"password": _edited()[1]}}
    typed = f"vaultr edit '{name}' --json < change.json"
    merged = phone.types("edit", name, "--json", stdin=json.dumps(mine), password=False)
    both = json.loads(merged.stdout)
    merged.stdout = ""  # the item, with its times
    transcript.ran((), merged, typed=typed)
    assert "username" in merged.stderr

    transcript.says(
        "If both change the same field, the second change is rejected and nothing is written:"
    )
    mine = {"revision": seen["revision"], "overview": {"username": "ann-at-the-harbour"}}
    stale = phone.types("edit", name, "--json", stdin=json.dumps(mine), code=1, password=False)
    transcript.ran((), stale, typed=typed)
    assert "username" in stale.stderr

    laptop.shows("sync", password=False)
    shown = laptop.run_json("show", name, "--reveal", password=False)
    assert shown["revision"] == both["revision"]
    assert shown["overview"]["username"] == _edited()[0]
    assert shown["detail"]["password"] == _edited()[1]


def _survives_a_restart(laptop, phone, site, transcript):
    assert site.stop() == 0
    transcript.says("Without the server, you can still read the copy on this device:")
    laptop.shows("sync", code=4, password=False)
    laptop.shows("list", "harbour", "--offline", password=False)
    offline = laptop.run_json("list", "--offline", password=False)
    site.start()

    phone.types("sync", password=False)
    assert {one["id"] for one in phone.run_json("list", password=False)} == {
        one["id"] for one in offline
    }
    transcript.says("A locked device reveals nothing without the master password:")
    laptop.shows("lock", password=False)
    laptop.shows("show", "Harbour mail", "--field", "password", code=3, password=False)
    assert (
        laptop.types("show", "Harbour mail", "--field", "password").stdout.strip() == _edited()[1]
    )


def _edited():
    return ("ann-the-second-of-her-name", "quiet-Ferry-0091-moss", "first-Anchor-4410-reed")


def _by_id(person):
    """Return what a person is shown, but for times: the writer's clock is not the server's."""
    listed = person.run_json("list", password=False)
    return {one["id"]: (one["type"], one["revision"], one["overview"]) for one in listed}


def _searchable(bitwarden):
    """Write bare numbers of few digits, which any log holds by chance, as they are written too."""
    for item in bitwarden["items"]:
        if "card" in item:
            item["card"]["expYear"] = item["card"]["expYear"][2:]
        if "identity" in item:
            item["identity"]["postalCode"] = f"GX{item['identity']['postalCode']} 1AA"
    return bitwarden


def _not_secret(bitwarden):
    """Return the words of the format itself, which the server says of itself too."""
    words = {"true", "false", "default", "public-key", "ECDSA", "P-256", "login"}
    return {value for value in strings(bitwarden) if value in words}


def _everything_stored(site, redis_url):
    """Return all that a thief of database, Redis, logs and mails would hold."""
    parts = [site.log.read_bytes()]
    parts += [mail.read_bytes() for mail in (site.home / "mail").iterdir()]
    with psycopg2.connect(site.environ["DATABASE_URL"].replace("+psycopg2", "")) as connection:
        parts += list(_rows(connection))
    with redis.Redis.from_url(redis_url) as store:
        for key in store.scan_iter():
            parts += [key, store.dump(key) or b""]
    return b"\n".join(parts)


def _rows(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor:
                for value in row:
                    if isinstance(value, memoryview):
                        yield bytes(value)
                    elif value is not None:
                        yield str(value).encode()
