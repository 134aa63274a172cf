"""Checks for `flask doctor`: excess rights, the signer, anchors."""

from vaultr.audit import anchors, checkpoints, rights, signing, state_file, tree
from vaultr.audit.errors import CannotCompare
from vaultr.audit.signer import CannotSign, Signer
from vaultr.database.session import reading


def excess_rights(*, sequencer: bool) -> list[str]:
    """Return the rights to the log that the current role has but does not need."""
    with reading() as session:
        role = rights.SEQUENCER if sequencer else rights.APP
        return rights.excess(session.connection(), role)


def signer_problem() -> str | None:
    """Return the reason why the signer would not sign now, or None."""
    keys = signing.keys()
    if keys is None:
        return "CHECKPOINT_KEY is not set"
    with reading() as session:
        last = checkpoints.last_signed(session)
        epoch = last.epoch if last is not None else 0
        size = tree.size(session, epoch) if epoch else 0
        try:
            Signer(keys).check(session, epoch, size)
        except CannotSign as error:
            return str(error)
    return None


def signed_notes() -> list[str]:
    """Return the checkpoints outside of the database: the signer's state, the newest anchors.

    Call it before reading the log, because the signer stores its state after the transaction.

    :raises CannotCompare: the state file or an anchor cannot be read.
    """
    try:
        state = state_file.read()
        return [*([] if state is None else [state]), *anchors.newest_notes()]
    except (OSError, UnicodeDecodeError) as error:
        raise CannotCompare("AUDIT_STATE_FILE cannot be read.") from error
    except anchors.AnchorUnreachable as error:
        raise CannotCompare(f"The anchor {error.anchor} cannot be read.") from error


def unreachable_anchors() -> list[str]:
    """Return the anchors that cannot be read now."""
    try:
        anchors.newest_notes()
    except anchors.AnchorUnreachable as error:
        return [error.anchor]
    return []
