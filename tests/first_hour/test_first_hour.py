"""Check what the server stores after a user's first hour, from signup to running a program."""

import json
import re
import subprocess
import sys

import psycopg2
import pytest
import redis

from tests.first_hour.leaks import strings
from tests.first_hour.transcript import PAGE, Transcript
from tests.fixtures.make_bitwarden import export
from tests.harness import servers
from tests.harness.first_hour_site import Person, Site, token_of
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
    transcript.mask(site.url, "http://127.0.0.1:3000")
    transcript.mask(f"{tmp_path}/", "")
    return transcript


def test_server_stores_nothing_readable_after_first_hour(
    site, tmp_path, redis_url, transcript, pytestconfig
):
    bitwarden = _searchable(export(500))
    laptop = Person(tmp_path / "laptop", site, EMAIL, PASSWORD, transcript)
    phone = Person(tmp_path / "phone", site, EMAIL, PASSWORD, transcript)

    key = _sign_up(laptop, site, transcript)
    _store_login(laptop, transcript)
    _run_program(laptop, tmp_path, transcript)
    _import_exports(laptop, tmp_path, bitwarden, transcript)
    _add_second_device(phone, key, laptop, transcript)
    _edit_on_both_devices(laptop, phone)
    _restart_server(laptop, phone, site, transcript)

    everything = _everything_stored(site, redis_url)
    values = {*strings(bitwarden), *ENVIRONMENT.values(), PASSWORD, key, *_edited_values()}
    values -= _not_secret(bitwarden)
    assert found_in(values, everything) == set()
    value = sorted(values)[0]
    assert found_in({value}, everything + value.encode("utf-16-le")) == {value}
    if pytestconfig.getoption("--write-docs"):
        PAGE.write_text(transcript.page())
    assert PAGE.read_text() == transcript.page(), "out of date; run: pytest --write-docs"


def _sign_up(laptop, site, transcript):
    transcript.add_section(
        "2. Create your account",
        "Choose a master password; the command asks for it twice. It then shows the secret\n"
        "key, only once: write it down. A new device needs both.",
    )
    shown = laptop.shows("signup", "--email", EMAIL)
    key = re.search(r"^Secret key: (\S{43})$", shown, re.M)[1]
    code = re.search(r"\b[0-9a-f]{8}\b", shown)[0]
    transcript.mask(key, "<secret key>")
    transcript.mask(code, "<code>")
    mail = site.mail()
    assert code in mail

    transcript.add_paragraph(
        "This server stores emails as files in `var/mail/`. Copy the token at the end of the link:"
    )
    token = token_of(mail)
    transcript.mask(token, "<token>")
    laptop.shows("verify", token, password=False)
    transcript.add_paragraph(
        "Unlock this device. For the next 15 minutes without use, commands do not ask for the "
        "password:"
    )
    laptop.shows("unlock")
    return key


def _store_login(laptop, transcript):
    transcript.add_paragraph("## 3. Store a login and find it again")
    added = {"overview": {"title": "Harbour mail", "username": "ann"}}
    added["detail"] = {"password": _edited_values()[2]}
    done = laptop.types("add", "login", "--json", stdin=json.dumps(added), password=False)
    requested = _prompts(json.loads(done.stdout)["id"])
    transcript.add_command(
        (), requested, typed="vaultr add login --title 'Harbour mail' --username ann"
    )
    laptop.shows("list", "harbour", password=False)
    laptop.shows("show", "Harbour mail", password=False)
    transcript.add_paragraph(
        "`vaultr show 'Harbour mail' --field password` prints the password, and\n"
        "`vaultr copy 'Harbour mail'` copies it to the clipboard."
    )


def _prompts(item_id):
    """Return what a terminal would show for the prompts; the test passes the item as JSON."""
    shown = ("Password (empty for none):", "TOTP secret (empty for none):")
    shown = (*shown, f"Added: Harbour mail ({item_id})")
    return subprocess.CompletedProcess((), 0, "\n".join(shown), "")


def _run_program(laptop, tmp_path, transcript):
    file = tmp_path / ".env"
    quoted = {"GREETING": "'Grüße aus dem Tresor, it'\"'\"'s \"quoted\"'"}
    file.write_text("".join(f"{n}={quoted.get(n, v)}\n" for n, v in ENVIRONMENT.items()))
    transcript.add_section(
        "4. Give secrets to a program",
        "Import a dotenv file, then delete it. `vaultr run` starts a program with its\n"
        "variables. They are in the environment of this program only, and in no file:",
    )
    laptop.shows("import", str(file), "--title", "prod", password=False)
    laptop.shows("run", "--env-set", "prod", "--", "printenv", "GREETING", password=False)

    done = laptop.types(
        "run", "--env-set", "prod", "--", sys.executable, "-c", PROGRAM, code=7, password=False
    )

    environment = json.loads(done.stdout)
    assert {name: environment.get(name) for name in ENVIRONMENT} == ENVIRONMENT


def _import_exports(laptop, tmp_path, bitwarden, transcript):
    file = tmp_path / "bitwarden.json"
    file.write_text(json.dumps(bitwarden))
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(bitwarden)[:5000])
    before = len(laptop.run_json("list", password=False))
    transcript.add_section(
        "5. Import from another password manager",
        "Export a file there ([migrating.md](migrating.md) says how), and import it here:",
    )
    laptop.shows("import", str(file), password=False)
    assert len(laptop.run_json("list", password=False)) == before + len(bitwarden["items"])
    transcript.add_paragraph("If anything in the file is wrong, nothing of it is imported:")
    laptop.shows("import", str(broken), code=1, password=False)
    assert len(laptop.run_json("list", password=False)) == before + len(bitwarden["items"])


def _add_second_device(phone, key, laptop, transcript):
    transcript.add_section(
        "6. Add a second device",
        "A new device asks for the master password and the secret key. Here there is no terminal\n"
        "to ask on, so without the secret key the command stops before it sends anything:",
    )
    phone.shows("login", "--email", EMAIL, code=1)
    phone.shows("login", "--email", EMAIL, secret_key=key)
    phone.shows("unlock")
    transcript.add_paragraph(
        "HEAD is a hash of all changes of the vault. If two devices show the same revision and\n"
        "head, they have seen the same changes:"
    )
    phone.shows("sync", password=False)

    assert _by_id(phone) == _by_id(laptop)


def _edit_on_both_devices(laptop, phone):
    """Check that changes of different fields are merged, and changes of the same field rejected."""
    name = "Harbour mail"
    seen = phone.run_json("show", name, "--reveal", password=False)
    laptop.types("edit", name, "--set", f"username={_edited_values()[0]}", password=False)

    mine = {"revision": seen["revision"], "detail": {"password": _edited_values()[1]}}
    merged = phone.types("edit", name, "--json", stdin=json.dumps(mine), password=False)
    both = json.loads(merged.stdout)
    assert "username" in merged.stderr

    mine = {"revision": seen["revision"], "overview": {"username": "ann-at-the-harbour"}}
    stale = phone.types("edit", name, "--json", stdin=json.dumps(mine), code=1, password=False)
    assert "username" in stale.stderr

    laptop.types("sync", password=False)
    shown = laptop.run_json("show", name, "--reveal", password=False)
    assert shown["revision"] == both["revision"]
    assert shown["overview"]["username"] == _edited_values()[0]
    assert shown["detail"]["password"] == _edited_values()[1]


def _restart_server(laptop, phone, site, transcript):
    assert site.stop() == 0
    transcript.add_section(
        "7. Without the server",
        "If the server is down, you can read the copy on this device:",
    )
    laptop.shows("list", "prod", code=4, password=False)
    laptop.shows("list", "prod", "--offline", password=False)
    offline = laptop.run_json("list", "--offline", password=False)
    site.start()

    phone.types("sync", password=False)
    assert {one["id"] for one in phone.run_json("list", password=False)} == {
        one["id"] for one in offline
    }
    transcript.add_section(
        "8. Lock",
        "A locked device shows nothing without the master password:",
    )
    laptop.shows("lock", password=False)
    laptop.shows("show", "Harbour mail", "--field", "password", code=3, password=False)
    assert (
        laptop.types("show", "Harbour mail", "--field", "password").stdout.strip()
        == _edited_values()[1]
    )


def _edited_values():
    return ("ann-the-second-of-her-name", "quiet-Ferry-0091-moss", "first-Anchor-4410-reed")


def _by_id(person):
    """Return the listed items without times, because client and server clocks differ."""
    listed = person.run_json("list", password=False)
    return {one["id"]: (one["type"], one["revision"], one["overview"]) for one in listed}


def _searchable(bitwarden):
    """Change short numbers, because any log may contain them by chance."""
    for item in bitwarden["items"]:
        if "card" in item:
            item["card"]["expYear"] = item["card"]["expYear"][2:]
        if "identity" in item:
            item["identity"]["postalCode"] = f"GX{item['identity']['postalCode']} 1AA"
    return bitwarden


def _not_secret(bitwarden):
    """Return the words of the format itself, which the server also uses."""
    words = {"true", "false", "default", "public-key", "ECDSA", "P-256", "login"}
    return {value for value in strings(bitwarden) if value in words}


def _everything_stored(site, redis_url):
    """Return the contents of database, Redis, logs and emails, as an attacker would copy them."""
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
