"""A PUT of an item runs code of few modules, so that it stays easy to follow."""

from tests.harness.entered_modules import entered_modules
from tests.harness.vault_writer import Writer

MAX_MODULES = 22

# Not counted, as in the house rules: the lowest layer and metrics, and modules behind an interface
# that a reader of the PUT need not open.
LEAVES = {
    *("app_state", "clock", "request_context", "observability.metrics"),
    *("protocol.encoding", "protocol.entries", "protocol.sealed"),
}
BEHIND = {
    "audit.recording": {
        *("audit.chain", "audit.chain_pool", "audit.event_encoding", "audit.log_name"),
        *("audit.transaction_hooks", "observability.logs", "security.keyring"),
    },
    "database.sql": {
        *("database.engine", "database.prepared_statements", "database.query_comments"),
        *("database.raw_driver", "observability.instrumentation"),
    },
    "observability.metrics": {"observability.statsd"},
    # Called at the end of every transaction and by every read of a body.
    "database.session": {"mail.worker_wakeup"},
    "api.request_parsing": {"api.unread_bodies"},
}
NOT_COUNTED = LEAVES.union(*BEHIND.values())


def test_put_enters_few_modules(app, as_ann):
    vault = Writer(as_ann).create()
    item_id = vault.put()
    vault.put(item_id)  # so that no validator is built below
    request = vault.put_request(item_id, "another secret")

    with entered_modules("vaultr", within=("vaultr.api.operation", "call")) as entered:
        response = vault.send(request)

    assert response.status_code == 200
    assert "vault.item_writes" in entered
    counted = entered - NOT_COUNTED
    assert len(counted) <= MAX_MODULES, sorted(counted)
