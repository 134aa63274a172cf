"""Write a server's archive in memory, line by line like a real server."""

import json

ITEM = ("id", "type", "state", "revision", "content_revision", "generation", "size",
        "created_at", "updated_at", "overview", "detail")  # fmt: skip
HIDDEN = ("entries", "items", "removed", "puts")


def archive_of(server):
    """Return the archive as bytes."""
    account = server.account
    head = {"id": account["account_id"], "email": account["email"], "auth_scheme": "vp1"}
    head |= {"kdf": account["kdf"], "salt": account["salt"]}
    key_set = {name: account[name] for name in ("account_key", "identity", "profile")}
    lines = ['{"format":"vaultr-export/1",', f'"account":{_text(head)},']
    lines += [f'"key_set":{_text(key_set)},', '"sessions":[', "],", '"machines":[', "],"]
    lines.append('"vaults":[')
    vaults = [server.vaults[each] for each in sorted(server.vaults)]
    for number, vault in enumerate(vaults, start=1):
        lines += [*_vault(vault), "]}" if number == len(vaults) else "]},"]
    lines += ["],", '"audit":[', *_list([{"id": "e", "body": "b"}]), "]}"]
    return "\n".join(lines).encode() + b"\n"


def _vault(vault):
    shown = {name: vault[name] for name in vault if name not in HIDDEN}
    items = sorted(vault["items"].values(), key=lambda each: each["revision"])
    versions = [
        {"item_id": item["id"], "revision": n, "size": 0, "created_at": put["updated_at"]}
        | {name: put[name] for name in ("type", "generation", "overview", "detail")}
        for item in items
        for n, put in vault["puts"][item["id"]].items()
        if n != item["content_revision"]
    ]
    versions.sort(key=lambda each: each["revision"])
    yield _text(shown)[:-1] + ',"items":['
    yield from _list([{name: item[name] for name in ITEM} for item in items])
    yield '],"versions":['
    yield from _list(versions)
    yield '],"entries":['
    yield from _list(vault["entries"])


def _list(values):
    for number, value in enumerate(values, start=1):
        yield _text(value) + ("," if number < len(values) else "")


def _text(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
