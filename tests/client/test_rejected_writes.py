"""A server that rejects each write without a reason: an error, no endless loop."""

import pytest

from tests.harness.client.world import mail
from vaultr.client.errors import InTrash, ItemNotFound
from vaultr.client.items.move import InBoth
from vaultr.client.items.schemas import Draft

REQUESTS_MOST = 200


def rejecting(world, slug, status, *, but=None):
    """Reject each write to a vault without processing it, except paths with ``but``."""
    seen, honest = [], world.server._answer

    def answer(request, path, query):
        writes = request.method in ("PUT", "POST") and ("/changes" in path or "/items/" in path)
        if not writes or (but is not None and but in path):
            return honest(request, path, query)
        seen.append(path)
        if len(seen) > REQUESTS_MOST:
            pytest.fail("the same is sent on and on")
        problem = {"type": f"urn:vaultr:problem:{slug}", "status": status, "detail": slug}
        return status, problem, None

    world.server._answer = answer
    return seen


@pytest.fixture(params=[("item-not-found", 404), ("in-trash", 409)], ids=lambda each: each[0])
def rejection(request):
    """How the server rejects writes."""
    return request.param


def test_import_with_rejected_writes_ends_with_error(world, rejection):
    rejecting(world, *rejection)

    with pytest.raises((InTrash, ItemNotFound)) as finished:
        world.laptop.add_many([Draft("login", *mail(str(n))) for n in range(3)])

    assert finished.value.__notes__ == ["0 of 3 items were added."]


def test_move_with_rejected_writes_keeps_the_item(world, rejection):
    world.laptop.add("login", *mail())
    world.laptop.create_vault("Work")
    honest = world.server._answer
    rejecting(world, *rejection)

    with pytest.raises((InBoth, ItemNotFound)):
        world.laptop.move("Mail", to="Work")

    world.server._answer = honest
    assert [each.title for each in world.laptop.items()] == ["Mail"]


def test_move_with_rejected_trash_ends_with_error(world, rejection):
    world.laptop.add("login", *mail())
    work = world.laptop.create_vault("Work")
    seen = rejecting(world, *rejection, but=str(work.id))

    with pytest.raises((InTrash, ItemNotFound)):
        world.laptop.move("Mail", to="Work")

    assert seen


def test_rotation_with_rejected_writes_ends_with_error(filled, rejection):
    rejecting(filled, *rejection)

    with pytest.raises((InTrash, ItemNotFound)):
        filled.laptop.rotate()
