"""From signup to a program that runs with an environment set; then what the server knows of it."""

import json
import sys

import psycopg2
import pytest
import redis

from tests import servers
from tests.first_hour.leaks import found, strings
from tests.first_hour.world import Person, Site, token_of
from tests.fixtures.make_bitwarden import export

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


def test_the_first_hour_leaves_nothing_readable_on_the_server(site, tmp_path, redis_url):
    bitwarden = _searchable(export(500))
    laptop = Person(tmp_path / "laptop", site, EMAIL, PASSWORD)
    phone = Person(tmp_path / "phone", site, EMAIL, PASSWORD)

    key = _moves_in(laptop, site)
    _imports(laptop, tmp_path, bitwarden)
    _sees_the_same(phone, key, laptop)
    _edits_on_both(laptop, phone)
    _runs_a_program(laptop, tmp_path)
    _survives_a_restart(laptop, phone, site)

    heap = _everything_kept(site, redis_url)
    values = {*strings(bitwarden), *ENVIRONMENT.values(), PASSWORD, key, *_edited()}
    values -= _not_secret(bitwarden)
    assert found(values, heap) == set()
    value = sorted(values)[0]
    assert found({value}, heap + value.encode("utf-16-le")) == {value}


def _moves_in(laptop, site):
    told = laptop.told("signup", "--email", EMAIL)
    mail = site.mail()
    assert told["code"] in mail
    laptop.types("verify", token_of(mail), password=False)
    laptop.types("login")
    laptop.types("unlock")
    return told["secret_key"]


def _imports(laptop, tmp_path, bitwarden):
    file = tmp_path / "bitwarden.json"
    file.write_text(json.dumps(bitwarden))
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(bitwarden)[:5000])
    laptop.types("import", str(broken), code=1, password=False)
    assert laptop.told("list", password=False) == []

    laptop.types("import", str(file), password=False)

    assert len(laptop.told("list", password=False)) == len(bitwarden["items"])


def _sees_the_same(phone, key, laptop):
    phone.types("login", "--email", EMAIL, code=1)  # without the secret key nothing is sent
    phone.types("login", "--email", EMAIL, secret_key=key)
    phone.types("unlock")

    assert _by_id(phone) == _by_id(laptop)


def _edits_on_both(laptop, phone):
    item = next(one for one in laptop.told("list", password=False) if one["type"] == "login")
    seen = phone.told("show", item["id"], "--reveal", password=False)
    laptop.types("edit", item["id"], "--set", f"username={_edited()[0]}", password=False)

    mine = {"revision": seen["revision"], "detail": {"password": _edited()[1]}}
    stale = phone.types(
        "edit", item["id"], "--json", stdin=json.dumps(mine), code=1, password=False
    )
    assert "username" in stale.stderr

    phone.types("sync", password=False)
    mine["revision"] = phone.told("show", item["id"], password=False)["revision"]
    phone.types("edit", item["id"], "--json", stdin=json.dumps(mine), password=False)
    laptop.types("sync", password=False)
    both = laptop.told("show", item["id"], "--reveal", password=False)
    assert both["overview"]["username"] == _edited()[0]
    assert both["detail"]["password"] == _edited()[1]


def _runs_a_program(laptop, tmp_path):
    file = tmp_path / ".env"
    quoted = {"GREETING": "'Grüße aus dem Tresor, it'\"'\"'s \"quoted\"'"}
    file.write_text("".join(f"{n}={quoted.get(n, v)}\n" for n, v in ENVIRONMENT.items()))
    laptop.types("import", str(file), "--title", "prod", password=False)

    done = laptop.types(
        "run", "--env-set", "prod", "--", sys.executable, "-c", PROGRAM, code=7, password=False
    )

    environment = json.loads(done.stdout)
    assert {name: environment.get(name) for name in ENVIRONMENT} == ENVIRONMENT


def _survives_a_restart(laptop, phone, site):
    assert site.stop() == 0
    laptop.types("sync", code=4, password=False)
    offline = laptop.told("list", "--offline", password=False)
    site.start()

    phone.types("sync", password=False)
    assert {one["id"] for one in phone.told("list", password=False)} == {
        one["id"] for one in offline
    }
    laptop.types("lock", password=False)
    laptop.types("show", offline[0]["id"], "--reveal", code=3, password=False)
    laptop.types("show", offline[0]["id"], "--reveal")


def _edited():
    return ("ann-the-second-of-her-name", "quiet-Ferry-0091-moss")


def _by_id(person):
    """Give what a person is shown, but for times: the writer's clock is not the server's."""
    listed = person.told("list", password=False)
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
    """Give the words of the format itself, which the server says of itself too."""
    words = {"true", "false", "default", "public-key", "ECDSA", "P-256", "login"}
    return {value for value in strings(bitwarden) if value in words}


def _everything_kept(site, redis_url):
    """Give all that a thief of database, Redis, logs and mails would hold."""
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
