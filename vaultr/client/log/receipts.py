"""Check the response to a write: it must match what the client computed."""

from vaultr.client.errors import AnswerInvalid, StateMismatch
from vaultr.client.log.append import Batch
from vaultr.client.log.entries import shown_place
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
            raise _mismatch(batch.state, f"it confirms another {name}", answer)


def check_batch(batch: Batch, answer: Json) -> None:
    """Check the response to a batch of changes.

    :raises StateMismatch: an id, a revision or the head differs.
    """
    fields = Fields(answer, "answer", AnswerInvalid)
    _check_head(batch.state, fields)
    results = [(each.uuid("item_id"), each.count("revision")) for each in fields.objects("results")]
    if results != [(write.item_id, write.revision) for write in batch.writes]:
        raise _mismatch(batch.state, "it confirms other items or revisions", answer)


def check_vault(batch: Batch, answer: Json) -> None:
    """Check the vault in the response to a rename, rotation or repair.

    :raises StateMismatch: the vault, revision, head, generation or overview differs.
    """
    check_made(batch.state, answer)


def check_made(state: VaultState, answer: Json) -> None:
    """Check the vault in the response to its creation. Raises errors like :func:`check_vault`."""
    fields = Fields(answer, "answer", AnswerInvalid)
    if fields.uuid("id") != state.vault_id:
        raise _mismatch(state, "it confirms another vault", answer)
    _check_head(state, fields)
    claimed = (fields.count("generation"), read_overview(fields))
    if claimed != (state.generation, state.overview):
        raise _mismatch(state, "it has another name or other keys for the vault", answer)


def _check_head(state: VaultState, answer: Fields) -> None:
    claimed = (answer.count("revision"), answer.binary("head", HASH_BYTES))
    if claimed != (state.n, state.head):
        raise _mismatch(state, "it shows another state", answer.raw())


def _mismatch(state: VaultState, what: str, answer: Json) -> StateMismatch:
    fields = Fields(answer, "answer", AnswerInvalid)
    theirs = shown_place(fields.count("revision"), fields.binary("head", HASH_BYTES))
    error = StateMismatch(
        f"The server did not confirm the change of vault {state.vault_id}: {what} than this device "
        f"computed ({state.waypoint}; the server shows {theirs}).",
        vault_id=state.vault_id,
    )
    error.add_note(
        "It is not certain that the change was stored. Check before you repeat it: vaultr sync"
    )
    return error
