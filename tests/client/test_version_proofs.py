"""A version must be in the vault's log: a put that the server rejected is signed too."""

import copy
import json
from uuid import UUID

import pytest

from tests.harness.client.world import mail
from vaultr.client.crypto.primitives import sha256
from vaultr.client.errors import IntegrityError
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.entries import Entry, Op, item_content


@pytest.fixture
def rejected(world):
    """An owner, one of whose writes came too late; the server kept the rejected write."""
    laptop = world.laptop
    world.item = laptop.add("login", *mail("Mail", "first"))
    laptop.add("login", *mail("Bank", "first"))
    laptop.close()
    laptop = world.again()
    phone = world.second_by_key()
    phone.sync()
    stored = []

    def overtake(method, path):
        if method == "PUT" and path.endswith(f"/items/{world.item.id}"):
            world.server.before = None
            stored.append(json.loads(world.server.requests[-1][2]))
            phone.edit("Bank", detail={"password": "second"})

    world.server.before = overtake
    laptop.edit("Mail", detail={"password": "refused"})
    laptop.edit("Mail", detail={"password": "last"})
    world.version = as_version(world, stored[0])
    return world


def as_version(world, sent):
    """Convert a rejected put to what the server could show as a version."""
    (vault,) = world.server.vaults.values()
    n, mac = sent["entry"]["n"], unb64(sent["entry"]["mac"])
    assert vault["entries"][n - 1]["item_id"] != str(world.item.id), "entry of another item"
    entry = Entry(
        vault_id=UUID(vault["id"]),
        n=n,
        prev=unb64(sent["entry"]["prev"]),
        op=Op.PUT,
        item_id=world.item.id,
        content_revision=n,
        content=item_content(sent["type"], 1, unb64(sent["overview"]), unb64(sent["detail"])),
        generation=1,
        author_id=UUID(world.server.account["account_id"]),
        vouch=unb64(sent["entry"]["vouch"]),
    )
    reported = {
        "op": "put",
        "item_id": str(world.item.id),
        "content_revision": n,
        "content": b64(entry.content),
        "generation": 1,
        "author_id": str(entry.author_id),
        "head": b64(sha256(entry.signed() + mac)),
    }
    return {name: sent[name] for name in ("type", "overview", "detail")} | {
        "revision": n,
        "generation": 1,
        "size": 0,
        "created_at": "2026-11-24T09:00:00Z",
        "entry": sent["entry"] | reported,
    }


def show(world):
    """Make the server show the rejected put as a version."""
    n = world.version["revision"]

    def tamper(method, path, status, body):
        if path.endswith(f"/versions/{n}"):
            return 200, copy.deepcopy(world.version)
        if path.endswith("/versions"):
            listed = {name: each for name, each in world.version.items() if name != "detail"}
            versions = [*body["versions"], copy.deepcopy(listed)]
            return status, body | {"versions": sorted(versions, key=lambda v: -v["revision"])}
        return status, body

    world.server.tamper = tamper
    return n


@pytest.fixture(params=["seen", "old"])
def device(rejected, request):
    """A device that saw the head of each revision, and one that came later."""
    return rejected.laptop if request.param == "seen" else rejected.second_by_key("new")


def test_rejected_put_creates_no_version(rejected, device):
    n = show(rejected)

    with pytest.raises(IntegrityError, match="not written by one of your devices"):
        device.version("Mail", n)
    with pytest.raises(IntegrityError, match="not written by one of your devices"):
        device.history("Mail")
    with pytest.raises(IntegrityError, match="not written by one of your devices"):
        device.bring_back("Mail", n)


def test_versions_in_the_log_are_shown_to_every_device(rejected, device):
    found = [device.version("Mail", each.revision) for each in device.history("Mail")]

    assert [each.detail["password"] for each in found] == ["last", "refused", "first"]


def test_log_with_rejected_put_leads_to_other_head(rejected):
    device = rejected.second_by_key("new")
    device.sync()
    n = show(rejected)
    showing = rejected.server.tamper

    def tamper(method, path, status, body):
        if path.endswith("/sync") and body:
            reported = rejected.version["entry"]
            body["entries"] = [reported if each["n"] == n else each for each in body["entries"]]
        return showing(method, path, status, body)

    rejected.server.tamper = tamper
    with pytest.raises(IntegrityError, match="does not lead to what this device has"):
        device.history("Mail")
