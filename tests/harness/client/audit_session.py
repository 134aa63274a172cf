"""A session with the app, and events about a vault, for checks of the audit log."""

from types import SimpleNamespace
from uuid import UUID

from tests.harness import audit_log
from vaultr.audit import checkpoints, service
from vaultr.audit.events import Event
from vaultr.client.errors import error_from_problem
from vaultr.database.session import transaction
from vaultr.protocol import notes
from vaultr.protocol.encoding import b64

VAULT = UUID(int=5)


class Session:
    """Sends requests to the app, and stores checkpoints of headers like the client's session."""

    def __init__(self, client):
        self._client = client
        self.seen = []

    def send(self, method, path):
        response = self._client.open(f"/api/v1{path}", method=method)
        if response.status_code >= 400:
            slug = response.json["type"].removeprefix("urn:vaultr:problem:")
            raise error_from_problem(slug, response.status_code, response.json)
        if header := response.headers.get("X-Vaultr-Checkpoint"):
            epoch, size, root = header.split(" ")
            self.seen.append((int(epoch), int(size), notes.decode(root)))
        lines = response.mimetype == "application/jsonl"
        text = response.get_data(as_text=True)
        return SimpleNamespace(body=None if lines else response.json, text=text)

    def checkpoints(self):
        return self.seen


def write(app, account_id, n=1, head=b"h" * 32):
    obj = {"kind": "vault", "id": str(VAULT), "from": n, "to": n, "head": b64(head)}
    with app.app_context():
        with transaction():
            service.record(Event.ITEM_WRITE, account_id=account_id, obj=obj)
        audit_log.sequence_all()
        checkpoints.forget()


def no_heads(_vault_id, _since):
    return None
