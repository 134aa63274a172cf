"""Checks the answer to a write: it must say exactly what the client computed before."""

from vaultr.client.errors import AnswerInvalid, StateMismatch
from vaultr.client.log.append import Batch
from vaultr.client.log.entries import short_head
from vaultr.client.log.pages import read_overview
from vaultr.client.log.state import VaultState
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.entries import HASH_BYTES


def check_write(batch: Batch, answer: Json) -> None:
    """Check the answer to the write of one item.

    :raises StateMismatch: the id, the revision, the head or the item's state is another.
    """
    write = batch.last
    _check_head(batch.state, Fields(answer, "answer", AnswerInvalid))
    for name, value in write.item_json().items():
        if answer.get(name) != value:
            raise _mismatch(batch.state, f"the answer names another {name}", answer)


def check_batch(batch: Batch, answer: Json) -> None:
    """Check the answer to a batch of changes.

    :raises StateMismatch: an id, a revision or the head is another.
    """
    fields = Fields(answer, "answer", AnswerInvalid)
    _check_head(batch.state, fields)
    results = [(each.uuid("item_id"), each.count("revision")) for each in fields.objects("results")]
    if results != [(write.item_id, write.revision) for write in batch.writes]:
        raise _mismatch(batch.state, "the answer names other items or revisions", answer)


def check_vault(batch: Batch, answer: Json) -> None:
    """Check the vault that a rename, a rotation or a repair answers with.

    :raises StateMismatch: the vault, the revision, the head, the generation or the overview is
        another.
    """
    check_made(batch.state, answer)


def check_made(state: VaultState, answer: Json) -> None:
    """Check the vault that its making answers with; raises as :func:`check_vault`."""
    fields = Fields(answer, "answer", AnswerInvalid)
    if fields.uuid("id") != state.vault_id:
        raise _mismatch(state, "the answer is of another vault", answer)
    _check_head(state, fields)
    said = (fields.count("generation"), read_overview(fields))
    if said != (state.generation, state.overview):
        raise _mismatch(state, "the answer has another overview or generation", answer)


def _check_head(state: VaultState, answer: Fields) -> None:
    said = (answer.count("revision"), answer.binary("head", HASH_BYTES))
    if said != (state.n, state.head):
        raise _mismatch(state, "the answer has another revision or head", answer.raw())


def _mismatch(state: VaultState, what: str, answer: Json) -> StateMismatch:
    fields = Fields(answer, "answer", AnswerInvalid)
    theirs = f"{fields.count('revision')} {short_head(fields.binary('head', HASH_BYTES))}"
    return StateMismatch(
        f"vault {state.vault_id}: {what} (computed is {state.waypoint}, the server says {theirs})",
        vault_id=state.vault_id,
    )
