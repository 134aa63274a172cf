"""The same requests to a vault of 100 items and to a vault of 100,000, to show what grows."""

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import sqlalchemy as sa

from bench import load
from bench.installation import Installation
from bench.load import Connection
from bench.world import DETAIL_BYTES, OVERVIEW_BYTES, Account, Vault, sealed
from tests.harness import bulk_rows

FEW, MANY = 100, 100_000
CHANGED = 10
PUTS_A_ROUND = 40


def pair(installation: Installation, account: Account) -> tuple[Vault, Vault]:
    """Create the two vaults, which differ only in their number of items; change both ten times."""
    engine = sa.create_engine(
        sa.make_url(installation.database_url).set(drivername="postgresql+psycopg2")
    )
    vaults = [_filled(engine, account, number) for number in (FEW, MANY)]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
    engine.dispose()
    for vault in vaults:
        changes = [vault.change(uuid4()) for _ in range(CHANGED)]
        account.post(f"/api/v1/vaults/{vault.id}/changes", {"changes": changes})
    few, many = vaults
    return few, many


def _filled(engine: sa.Engine, account: Account, items: int) -> Vault:
    vault = Vault.make(account, items=0)
    vault.n, vault.head = items, secrets.token_bytes(32)
    values = {
        "now": datetime.now(UTC),
        "sealed": sealed(OVERVIEW_BYTES),
        "detail": sealed(DETAIL_BYTES),
        "hash": vault.head,
    }
    about = {"id": vault.id, "n": items, "head": vault.head}
    with engine.begin() as connection:
        reported = "UPDATE vaults SET revision = :n, active = :n, head = :head WHERE id = :id"
        connection.execute(sa.text(reported), about)
        bulk_rows.stuff(connection, values)
        some = sa.text("SELECT id FROM items WHERE vault_id = :id ORDER BY id LIMIT 100")
        vault.items = list(connection.scalars(some, about))
    return vault


class Growth:
    """Measures how much longer a request takes in a vault that is a thousand times larger."""

    def __init__(self, installation: Installation, account: Account, seconds: float) -> None:
        self._port = installation.site.port
        self._account = account
        self._seconds = seconds
        self._vaults = pair(installation, account)
        self._revisions: dict[UUID, int] = {}

    def cases(self) -> Iterator[tuple[str, Callable[[], float]]]:
        """Yield the name of each request, and the function that measures it."""
        yield "delta of 10", self._of_reads(self._delta)
        yield "nothing new (304)", self._of_reads(self._nothing_new)
        yield "read of one item", self._of_reads(self._item)
        yield "page of 20 overviews", self._of_reads(self._overviews)
        yield "page of 100 of a full sync", self._of_reads(self._page)
        yield "PUT", self._put

    def _of_reads(self, requested: Callable[[Vault], bytes]) -> Callable[[], float]:
        def measure() -> float:
            few, many = (
                load.run(self._port, [[requested(vault)]] * 4, seconds=self._seconds)
                for vault in self._vaults
            )
            return few.rate() / many.rate()

        return measure

    def _delta(self, vault: Vault) -> bytes:
        path = f"/api/v1/vaults/{vault.id}"
        return self._account.read(f"{path}/sync?since={vault.n - CHANGED}")

    def _nothing_new(self, vault: Vault) -> bytes:
        shown = self._ask(self._account.read(f"/api/v1/vaults/{vault.id}"))
        path = f"/api/v1/vaults/{vault.id}/sync?since={vault.n}"
        return self._account.read(path, **{"If-None-Match": f'"{shown["head"]}"'})

    def _item(self, vault: Vault) -> bytes:
        return self._account.read(f"/api/v1/vaults/{vault.id}/items/{vault.items[50]}")

    def _overviews(self, vault: Vault) -> bytes:
        return self._account.read(f"/api/v1/vaults/{vault.id}/items?limit=20")

    def _page(self, vault: Vault) -> bytes:
        after = vault.n // 2 if vault.n > FEW + CHANGED + PUTS_A_ROUND * 10 else 0
        return self._account.read(f"/api/v1/vaults/{vault.id}/sync?since=0&after={after}&limit=100")

    def _put(self) -> float:
        rates = []
        for vault in self._vaults:
            requested = []
            for turn in range(PUTS_A_ROUND):
                item = vault.items[turn]
                requested.append(vault.replacing(item, self._revision(vault, item)))
                self._revisions[item] = vault.n
            rates.append(load.run(self._port, [requested], seconds=None).rate(200))
        few, many = rates
        return few / many

    def _revision(self, vault: Vault, item: UUID) -> int:
        if item not in self._revisions:
            path = f"/api/v1/vaults/{vault.id}/items/{item}"
            self._revisions[item] = self._ask(self._account.read(path))["revision"]
        return self._revisions[item]

    def _ask(self, data: bytes) -> dict:
        connection = Connection(self._port)
        status, body = connection.ask(data)
        connection.close()
        if status != 200:
            raise RuntimeError(f"{status} {body[:300]!r}")
        return json.loads(body)
