"""The server without audit events of single writes, to measure the cost of these events."""

from uuid import uuid4

from vaultr.vault import item_writes

item_writes.record = lambda *_statement, **_more: uuid4()

from wsgi import app  # noqa: E402 - only now, when nothing has been imported that would record

__all__ = ["app"]
