"""Verify a bundle of `vaultr audit export`, without Vaultr: python verify_audit_bundle.py FILE

Needs Python 3.11 and the package `cryptography`. For each event, it checks that its bytes lead to a
leaf, the leaf to a root (RFC 9162), and the root to a signed checkpoint (C2SP). It also checks that
the account's events form one chain without a gap, and that each tree names the one before it.
Compare the printed fingerprint of the key with the one that you got from the operator.
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ZERO = bytes(32)


def fail(reason):
    """Exit with a reason."""
    sys.exit(f"NOT VERIFIED: {reason}")


def sha(*parts):
    """Return the SHA-256 of the joined parts."""
    return hashlib.sha256(b"".join(parts)).digest()


def u64(number):
    """Return a number as eight bytes."""
    return number.to_bytes(8, "big")


def url64(text):
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read_key(text):
    """Read a verification key: its name, its id and its public key."""
    name, key_id, data = text.split("+", 2)
    raw = base64.b64decode(data)
    if raw[:1] != b"\x01" or sha(f"{name}\n".encode(), raw)[:4].hex() != key_id:
        fail("a verification key is malformed")
    return name, bytes.fromhex(key_id), raw[1:]


def signed_by(note, key):
    """Check whether a key signed a note."""
    text, _, lines = note.rpartition("\n\n")
    name, key_id, public = key
    for line in lines.splitlines():
        dash, signer, value = line.split(" ")
        raw = base64.b64decode(value)
        if (dash, signer, raw[:4]) == ("\u2014", name, key_id):
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{text}\n".encode())
            except InvalidSignature:
                continue
            return True
    return False


def read_checkpoint(note):
    """Read the origin, size and root of a checkpoint."""
    origin, size, root, *rest = note.rpartition("\n\n")[0].split("\n")
    if rest:
        fail("a checkpoint has further lines")
    return origin, int(size), base64.b64decode(root)


def trusted_keys(head):
    """Return the keys that sign, each introduced by the previous one."""
    keys = [read_key(text) for text in head["keys"]]
    trusted = keys[:1]
    for note in head["key_changes"]:
        new = read_key(note.rpartition("\n\n")[0].split("\n")[4])
        if signed_by(note, new) and any(signed_by(note, old) for old in trusted):
            trusted.append(new)
    if any(key not in trusted for key in keys) or any(key[0] != head["log"] for key in keys):
        fail("a key of the bundle is not introduced by the key before it")
    return trusted


def root_of(index, size, leaf, path):
    """Follow an inclusion proof to its root (RFC 9162, section 2.1.3.2)."""
    at, last, top = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            fail("a proof is too long")
        if at % 2 or at == last:
            top = sha(b"\x01", sibling, top)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            top = sha(b"\x01", top, sibling)
        at, last = at >> 1, last >> 1
    if last:
        fail("a proof is too short")
    return top


def check_event(line, checkpoint, note):
    """Check one event from its bytes to the signed root; return its body and its leaf hash."""
    event = line["event"]
    body, prev = event["body"].encode(), url64(event["prev"])
    event_hash = sha(b"vaultr/audit/event/v1\0", prev, u64(len(body)), body, url64(event["mac"]))
    content = json.loads(body)
    tag = sha(b"vaultr/audit/subject/v1\0", content["sub"].encode())[:16]
    place = u64(event["subject_seq"]) + url64(event["subject_prev"])
    data = b"vaultr/audit/leaf/v1\0" + u64(event["index"]) + event_hash + tag + place
    leaf = sha(b"\0", data)
    head, _, shown = line["proof"].partition("\n\n")
    header, index, *path = head.split("\n")
    if header != "c2sp.org/tlog-proof@v1" or index != f"index {event['index']}":
        fail(f"event {event['id']} has a malformed proof")
    if shown.rpartition("\n\n")[0] != note.rpartition("\n\n")[0] or content["eid"] != event["id"]:
        fail(f"event {event['id']} is proven under another checkpoint")
    top = root_of(event["index"], checkpoint[1], leaf, [base64.b64decode(one) for one in path])
    if top != checkpoint[2]:
        fail(f"event {event['id']} is not in the tree")
    return content, leaf


def check_tree(line, keys, log, finals):
    """Check a checkpoint and the first event of its tree; return the checkpoint."""
    note, epoch = line["checkpoint"], line["epoch"]
    checkpoint = read_checkpoint(note)
    if checkpoint[0] != f"{log}/{epoch}" or not any(signed_by(note, key) for key in keys):
        fail(f"the checkpoint of tree {epoch} is not signed by a trusted key")
    if line["opening"] is not None:
        body, _ = check_event(line["opening"], checkpoint, note)
        if line["opening"]["event"]["index"] != 0 or body["typ"] != "log.epoch.open":
            fail(f"tree {epoch} does not begin with log.epoch.open")
        if finals and read_checkpoint(body["obj"]["previous"]) != finals[-1]:
            fail(f"tree {epoch} continues another tree")
    return checkpoint


def main(path):
    """Verify the file."""
    with open(path, encoding="utf-8") as file:
        head, *lines = (json.loads(line) for line in file)
    if head["format"] != "vaultr-audit/1":
        fail("the file is not a bundle")
    keys, finals, note = trusted_keys(head), [], ""
    seq, last, count, pruned = head["after"], ZERO, 0, 0
    for line in lines:
        if line["type"] == "tree":
            finals.append(check_tree(line, keys, head["log"], finals))
            note = line["checkpoint"]
            if line["opening"] is None:
                pruned += 1
            if line["opening"] is None and pruned < len(finals):
                fail("the first event of a tree is left out")
            continue
        if pruned == len(finals):
            fail("an event of a pruned tree is shown")
        body, leaf = check_event(line, finals[-1], note)
        event = line["event"]
        begins = count == 0 and (pruned or head["after"] >= 0)
        if body["sub"] != head["account"]:
            fail(f"event {event['id']} is about another account")
        if not begins and (event["subject_seq"], url64(event["subject_prev"])) != (seq + 1, last):
            fail(f"event {seq + 1} of the account is missing or repeated")
        seq, last, count = event["subject_seq"], leaf, count + 1
    print(f"verified: {count} events of {head['account']} in {len(finals)} trees of {head['log']}")
    for _, _, public in keys:
        print(f"key: {hashlib.sha256(public).hexdigest()}")


if __name__ == "__main__":
    main(sys.argv[1])
