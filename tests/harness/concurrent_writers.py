"""Actions of a process on a shared vault: write, rebase, repeat, follow."""

import random
from functools import partial
from uuid import uuid4

from tests.harness.vault_writer import NoPage

GONE = (401, 404)


def slug(response):
    """Name the error, or say that it is done."""
    if response.status_code < 300:
        return "done"
    return response.json["type"].rpartition(":")[2]


def rebased(writer, prepare, *, lose=False):
    """Write as a client does: when the head has moved, sync and prepare again.

    :param lose: hang up before the answer comes, and send the same again.
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
    """Put one item again and again, single and in batches, now and then losing the answer.

    :return: the item, the last text that was put, and how many entries it took.
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
    """Follow by deltas and take the full set, again and again; return the state at the end."""
    for _ in range(turns):
        writer.sync(limit=limit)
        writer.full(limit=limit)
    return writer.state.waypoint


def ask(writer, request):
    """Send one request that was prepared before; return what came of it."""
    return slug(writer.ask(request))


def fill(writer, text):
    """Put new items until one is rejected; return how many were taken, and why no more."""
    taken = 0
    while True:
        content = slug(rebased(writer, partial(writer.put_request, text=text)))
        if content != "done":
            return taken, content
        taken += 1


def write_until_gone(writer):
    """Write until there is no vault, or no session, any more; return all statuses that came."""
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
    """Make others write so many revisions, then delete the account."""
    path = "/api/v1/vaults"
    while client.get(path).json["vaults"][0]["revision"] < after:
        pass
    return client.delete("/api/v1/auth/account").status_code
