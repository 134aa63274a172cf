"""Actions of a process on a shared vault: write, rebase, repeat, sync."""

import random
from functools import partial
from uuid import uuid4

from tests.harness.vault_writer import NoPage

GONE = (401, 404)


def slug(response):
    """Return the slug of an error, or "done"."""
    if response.status_code < 300:
        return "done"
    return response.json["type"].rpartition(":")[2]


def rebased(writer, prepare, *, lose=False):
    """Write like a client: if the head has changed, sync and prepare the write again.

    :param lose: close the connection before the response arrives, and send the same request again.
    """
    while True:
        request = prepare()
        if lose:
            writer.client.lose(
                request.method, request.path, json=request.body, headers=request.headers
            )
        response = writer.send(request)
        if slug(response) != "head-moved":
            return response
        writer.sync()


def write_much(writer, turns, seed):
    """Put one item repeatedly, alone and in batches; sometimes lose the response.

    :return: the item, the last text put, and the number of entries.
    """
    chance, own, entries = random.Random(seed), uuid4(), 0
    for turn in range(turns):
        lose = chance.random() < 0.25
        if turn % 3 == 2:
            steps = [("put", own, str(turn)), ("trash", own), ("restore", own)]
            response = rebased(writer, partial(writer.batch_request, *steps), lose=lose)
        else:
            response = rebased(writer, partial(writer.put_request, own, str(turn)), lose=lose)
        assert response.status_code < 300, response.json
        entries += 3 if turn % 3 == 2 else 1
    return own, entries


def follow(writer, turns, limit):
    """Sync repeatedly, by deltas and in full; return the state at the end."""
    for _ in range(turns):
        writer.sync(limit=limit)
        writer.full(limit=limit)
    return writer.state.waypoint


def ask(writer, request):
    """Send one prepared request; return its result."""
    return slug(writer.ask(request))


def fill(writer, text):
    """Put new items until one is rejected; return how many were stored, and the error."""
    taken = 0
    while True:
        content = slug(rebased(writer, partial(writer.put_request, text=text)))
        if content != "done":
            return taken, content
        taken += 1


def write_until_gone(writer):
    """Write until the vault or the session no longer exists; return all statuses."""
    statuses = set()
    while True:
        try:
            response = rebased(writer, writer.put_request)
        except NoPage as rejected:
            response = rejected.response
        statuses.add(response.status_code)
        if response.status_code >= 300:
            return statuses


def delete_account(client, after):
    """Wait until others have written ``revisions`` revisions, then delete the account."""
    path = "/api/v1/vaults"
    while client.get(path).json["vaults"][0]["revision"] < after:
        pass
    return client.delete("/api/v1/auth/account").status_code
