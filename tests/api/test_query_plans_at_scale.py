"""No frequent statement scans a whole table, however many items and accounts exist.

The plans are those of the actual statements of requests, explained on the same connections, each as
a custom and as a generic plan.
"""

import re
import secrets
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import servers
from tests.harness.app_fixtures import built, environ_for, signed_in
from tests.harness.bulk_rows import fill
from vaultr.database import raw_driver
from vaultr.database.session import AUTOCOMMIT, db, transaction
from vaultr.protocol.encoding import b64, unb64
from vaultr.vault import version_retention

TABLES = "items|versions|entries|removed_items|vaults|vault_keys|accounts|sessions"
WHOLE = re.compile(rf"Seq Scan on ({TABLES})\b")
STATEMENT = re.compile(r"\s*(?:EXECUTE|SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.I)
PLENTY = dict.fromkeys(("LIMIT_WRITES", "LIMIT_READS", "LIMIT_CHANGES"), "10000000/60")


@pytest.fixture(scope="module")
def filled(postgres_url, tmp_path_factory, count):
    """A database with very many rows, including Ann's vault."""
    environ = environ_for(
        tmp_path_factory.mktemp("home"),
        DATABASE_URL=servers.fresh_database(postgres_url),
        QUOTA_ITEMS="1000000",
        **PLENTY,
    )
    app = built(environ)
    vault = fill(app, items=count(10_000, many=100_000), accounts=count(1_000, many=10_000))
    yield app, vault
    with app.app_context():
        db.engine.dispose()
        AUTOCOMMIT.get(app).dispose()


class Plans:
    """Explains each statement right after it ran, on the same connection."""

    def __init__(self, app):
        self.seen = {}
        with app.app_context():
            self._engines = [db.engine, AUTOCOMMIT.get(app)]

    def __enter__(self):
        explain = self._explain

        class Cursor(raw_driver.CURSOR):
            def execute(self, text, values=None):
                super().execute(text, values)
                explain(self.connection, text, self.query)

        self._usual, raw_driver.CURSOR = raw_driver.CURSOR, Cursor
        for engine in self._engines:
            sa.event.listen(engine, "after_cursor_execute", self._ran)
        return self

    def __exit__(self, *_):
        raw_driver.CURSOR = self._usual
        for engine in self._engines:
            sa.event.remove(engine, "after_cursor_execute", self._ran)

    def _ran(self, connection, cursor, statement, parameters, context, executemany):
        self._explain(connection.connection, statement, cursor.query)

    def _explain(self, connection, statement, query):
        with connection.cursor() as other:
            for text in query.decode().split("; "):
                if not STATEMENT.match(text):
                    continue
                for mode in ("force_custom_plan", "force_generic_plan"):
                    other.execute(f"SET plan_cache_mode = {mode}")
                    other.execute(f"EXPLAIN {text}")
                    plan = "\n".join(row[0] for row in other.fetchall())
                    self.seen[statement[:200], text[:60], mode] = plan
            other.execute("SET plan_cache_mode = auto")

    def whole(self):
        return {key: plan for key, plan in self.seen.items() if WHOLE.search(plan)}


class RawVault:
    """Writes to a vault without keys, which the server cannot detect."""

    def __init__(self, client, vault_id, n, head):
        self.client, self.id, self.path = client, vault_id, f"/api/v1/vaults/{vault_id}"
        self.n, self.head = n, head

    def get(self, path="", status=200, **more):
        response = self.client.get(f"{self.path}{path}", **more)
        assert response.status_code == status, response.text
        return response

    def entry(self, ahead=0):
        made = {name: b64(secrets.token_bytes(32)) for name in ("vouch", "mac")}
        return {"n": self.n + 1 + ahead, "prev": b64(self.head), **made}

    def content(self, ahead=0):
        sealed = {part: b64(factories.sealed(100)) for part in ("overview", "detail")}
        rest = {"type": "login", "generation": 1, "content_revision": self.n + 1 + ahead}
        return sealed | rest | {"entry": self.entry(ahead)}

    def send(self, method, path, body, **headers):
        response = getattr(self.client, method)(f"{self.path}{path}", json=body, headers=headers)
        assert response.status_code in (200, 201), response.text
        self.n, self.head = response.json["revision"], unb64(response.json["head"])
        return response

    def put(self, item_id, revision=None):
        known = {"If-Match": f'"{revision}"'} if revision else {"If-None-Match": "*"}
        return self.send("put", f"/items/{item_id}", self.content(), **known)

    def move(self, op, item_id, revision):
        known = {"If-Match": f'"{revision}"'}
        return self.send("post", f"/items/{item_id}/{op}", {"entry": self.entry()}, **known)


@pytest.fixture
def vault(filled):
    app, (vault_id, *_) = filled
    client = signed_in(app, "ann@example.org")
    shown = client.get(f"/api/v1/vaults/{vault_id}").json
    return RawVault(client, vault_id, shown["revision"], unb64(shown["head"]))


def read_everything(vault):
    """Run every kind of read, at the ends and in the middle."""
    middle = vault.n // 2
    vault.client.get("/api/v1/vaults")
    vault.get()
    page = vault.get("/items?limit=20").json
    vault.get(f"/items?limit=20&cursor={page['next_cursor']}")
    vault.get("/items?limit=20&type=note")
    vault.get("/items?limit=20&state=trash")
    item = page["items"][7]
    path = f"/items/{item['id']}"
    vault.get(path)
    vault.get(path, 304, headers={"If-None-Match": f'"{item["revision"]}"'})
    vault.get(f"{path}/versions")
    vault.get(f"{path}/versions/{item['content_revision']}")
    for query in ("since=0", f"since=0&after={middle}", f"since={middle}", f"since={vault.n - 10}"):
        vault.get(f"/sync?limit=500&{query}")
    vault.get(f"/sync?since={vault.n}")
    tag = {"If-None-Match": f'"{b64(vault.head)}"'}
    vault.get(f"/sync?since={vault.n}", 304, headers=tag)
    return item


def write_everything(vault, item):
    """Run every kind of write, single and in a batch."""
    new = uuid4()
    vault.put(new)
    vault.put(new, vault.n)
    for op in ("trash", "restore", "trash", "remove"):
        vault.move(op, new, vault.n)
    vault.put(item["id"], item["revision"])
    vault.send("post", "/repair", {"entry": vault.entry()})
    rename = {"overview": b64(factories.sealed()), "generation": 1, "entry": vault.entry()}
    vault.send("put", "", rename)
    change = {"op": "put", "item_id": str(uuid4()), "if_none_match": "*", **vault.content()}
    tried = vault.client.post(f"{vault.path}/changes?dry_run=true", json={"changes": [change]})
    assert tried.json["verdicts"][0]["ok"], tried.text
    vault.send("post", "/changes", {"changes": [change]})
    for op in ("trash", "restore", "remove"):
        change = {"op": op, "item_id": change["item_id"], "if_match": vault.n}
        vault.send("post", "/changes", {"changes": [change | {"entry": vault.entry()}]})


def test_no_fast_statement_scans_a_whole_table(filled, vault):
    app, _ = filled

    with Plans(app) as plans:
        item = read_everything(vault)
        write_everything(vault, item)

    assert len(plans.seen) > 60
    assert plans.whole() == {}


def test_versions_to_delete_are_found_by_index(filled, vault, set_to):
    app, _ = filled
    item = vault.get("/items?limit=1").json["items"][0]
    revision = item["revision"]
    for _ in range(50):
        revision = vault.put(item["id"], revision).json["revision"]
    stored = len(vault.get(f"/items/{item['id']}/versions").json["versions"])

    with Plans(app) as plans:
        # the fifty-first version is deleted, and the budget is checked
        vault.put(item["id"], revision)
        with app.app_context(), transaction() as session:
            version_retention.delete_oldest(session.connection(), vault.id, 1)

    assert stored == 50
    assert len(vault.get(f"/items/{item['id']}/versions").json["versions"]) == 1
    assert any("Delete on versions w" in plan for plan in plans.seen.values())
    assert plans.whole() == {}
