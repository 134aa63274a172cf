"""Checks the response to a write: it must match what the client computed."""

from vaultr.client.errors import AnswerInvalid, StateMismatch
from vaultr.client.log.append import Batch
from vaultr.client.log.entries import short_head
from vaultr.client.log.pages import read_overview
from vaultr.client.log.state import VaultState
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.entries import HASH_BYTES


def check_write(batch: Batch, answer: Json) -> None:
    """Check the response to the write of one item.

    :raises StateMismatch: the id, the revision, the head or the item's state differs.
    """
    write = batch.last
    _check_head(batch.state, Fields(answer, "answer", AnswerInvalid))
    for name, value in write.item_json().items():
        if answer.get(name) != value:
            raise _mismatch(batch.state, f"the response has a different {name}", answer)


def check_batch(batch: Batch, answer: Json) -> None:
    """Check the response to a batch of changes.

    :raises StateMismatch: an id, a revision or the head differs.
    """
    fields = Fields(answer, "answer", AnswerInvalid)
    _check_head(batch.state, fields)
    results = [(each.uuid("item_id"), each.count("revision")) for each in fields.objects("results")]
    if results != [(write.item_id, write.revision) for write in batch.writes]:
        raise _mismatch(batch.state, "the response has different items or revisions", answer)


def check_vault(batch: Batch, answer: Json) -> None:
    """Check the vault in the response to a rename, rotation or repair.

    :raises StateMismatch: the vault, revision, head, generation or overview differs.
    """
    check_made(batch.state, answer)


def check_made(state: VaultState, answer: Json) -> None:
    """Check the vault in the response to its creation; raises like :func:`check_vault`."""
    fields = Fields(answer, "answer", AnswerInvalid)
    if fields.uuid("id") != state.vault_id:
        raise _mismatch(state, "the response is about a different vault", answer)
    _check_head(state, fields)
    claimed = (fields.count("generation"), read_overview(fields))
    if claimed != (state.generation, state.overview):
        raise _mismatch(state, "the response has a different name or key generation", answer)


def _check_head(state: VaultState, answer: Fields) -> None:
    claimed = (answer.count("revision"), answer.binary("head", HASH_BYTES))
    if claimed != (state.n, state.head):
        raise _mismatch(state, "the response has a different revision or head", answer.raw())


def _mismatch(state: VaultState, what: str, answer: Json) -> StateMismatch:
    fields = Fields(answer, "answer", AnswerInvalid)
    theirs = f"{fields.count('revision')} {short_head(fields.binary('head', HASH_BYTES))}"
    return StateMismatch(
        f"The server did not confirm the write to vault {state.vault_id}: {what} than this device "
        f"computed ({state.waypoint}; the server says {theirs}).",
        vault_id=state.vault_id,
    )
