"""A vault with some history, for tests with a malicious server."""

import copy
from types import SimpleNamespace
from uuid import UUID

from tests.harness.client.sample_device import Device
from vaultr.client.crypto.seal import seal
from vaultr.client.log.append import Change
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.entries import Entry, Op, head_of

IDS = [UUID(bytes=bytes([0xA0 + number]) * 16) for number in range(10)]


def put(device, item_id, text="text", kind="login"):
    """Return a change that puts an item, sealed under the device's newest keys."""
    key = device.keys[device.state.generation].vk
    return Change.put(item_id, kind, seal(key, b"o", text.encode()), seal(key, b"d", text.encode()))


def rename(device, name):
    """Return a change that renames the vault."""
    return Change.rename(seal(device.keys[device.state.generation].vk, b"n", name.encode()))


def create():
    """Create a history, with its states at revision 5 and at revision 12.

    ``held`` has followed to revision 5 and ``ann`` to 12; ``old`` is the server at 5.
    """
    ann, server = Device.with_new_vault()
    ann.write(server, *[put(ann, each) for each in IDS[:5]])
    held, old = ann.twin(), copy.deepcopy(server)
    ann.write(server, put(ann, IDS[1], "edited"))
    ann.write(server, Change.trash(IDS[2]))
    ann.write(server, Change.trash(IDS[3]))
    ann.write(server, Change.restore(IDS[3]))
    ann.write(server, Change.remove(IDS[4]))
    ann.write(server, put(ann, IDS[6], "new"))
    ann.write(server, rename(ann, "other name"))
    return SimpleNamespace(ann=ann, server=server, held=held, old=old)


def chained(answers, since_head):
    """Link the entries of ``answers`` again, as a server without keys can."""
    head = since_head
    for page in answers:
        for entry in page["entries"]:
            entry["prev"] = b64(head)
            head = _head(page, entry)
            entry["head"] = b64(head)
    last = answers[-1]
    if last["entries"]:
        last["head_entry"] = last["entries"][-1]
    for page in answers:
        page["head"] = page["vault"]["head"] = b64(head)
    return answers


def _head(page, entry):
    signed = Entry(
        vault_id=UUID(page["vault"]["id"]),
        n=entry["n"],
        prev=unb64(entry["prev"]),
        op=Op(entry["op"]),
        item_id=UUID(entry["item_id"]) if entry["item_id"] else None,
        content_revision=entry["content_revision"],
        content=unb64(entry["content"]),
        generation=entry["generation"],
        author_id=UUID(entry["author_id"]),
        vouch=unb64(entry["vouch"]),
    )
    return head_of(signed, unb64(entry["mac"]))
