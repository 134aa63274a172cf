"""Second factors: setup, confirmation, removal, and the check of codes that work once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import known_devices, recovery_codes, second_factor_secrets
from vaultr.auth.account_lock import lock_own_account
from vaultr.auth.emails import account
from vaultr.auth.models import Account, Factor, RecoveryCode
from vaultr.auth.schemas import ProofIn
from vaultr.database.session import one_statement, transaction
from vaultr.database.sql import planned
from vaultr.errors import Conflict, FieldError, NotFound, Unprocessable
from vaultr.mail import service as mail
from vaultr.protocol import totp
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings

TOTP: Final = "totp"
CODES: Final = "recovery-codes"
_NEVER: Final = -1  # before all other steps
# Runs at each login; most accounts have no factor.
_CONFIRMED: Final = planned(
    "SELECT id, account_id, sealed FROM factors WHERE account_id = :account"
    " AND confirmed_at IS NOT NULL"
)


class CodeMissing(Exception):
    """The account has a second factor, but none was sent."""


class CodeWrong(Exception):
    """The second factor is wrong, or was used before."""


@dataclass(frozen=True, slots=True)
class FactorInfo:
    """A second factor as its owner sees it; ``left`` counts the unused recovery codes."""

    kind: str
    created_at: datetime
    left: int | None = None


@dataclass(frozen=True, slots=True)
class TotpSetup:
    """A secret that is shown once; its first code activates it."""

    secret: str
    uri: str


def list_factors(account_id: UUID) -> list[FactorInfo]:
    """Return the second factors of an account, and the number of recovery codes left."""
    confirmed = (
        sa.select(Factor.kind, Factor.created_at)
        .where(Factor.account_id == account_id, Factor.confirmed_at.is_not(None))
        .order_by(Factor.created_at)
    )
    codes = sa.select(sa.func.count(), sa.func.min(RecoveryCode.created_at)).where(
        RecoveryCode.account_id == account_id
    )
    with one_statement() as connection:
        found = [FactorInfo(row.kind, row.created_at) for row in connection.execute(confirmed)]
        if not found:
            return []
        left, since = connection.execute(codes).one()
    return [*found, FactorInfo(CODES, found[0].created_at if left == 0 else since, left)]


def begin_totp(actor: Actor) -> TotpSetup:
    """Create the secret of an authenticator app. It is not required until `confirm_totp`.

    The account is locked, so the last of several parallel calls determines the secret.

    :raises Conflict: the account has a confirmed factor.
    """
    secret, factor_id = totp.new_secret(), uuid4()
    with _changing(actor) as (work, email):
        if _confirmed(work, actor.account_id):
            raise Conflict("This account already has a second factor. Remove it first.")
        work.execute(sa.delete(Factor).where(Factor.account_id == actor.account_id))
        event = audit.record(
            Event.FACTOR_ADD, account_id=actor.account_id, obj=_obj(factor_id), reason="begun"
        )
        row = {
            "id": factor_id,
            "account_id": actor.account_id,
            "kind": TOTP,
            **second_factor_secrets.seal_secret(actor.account_id, factor_id, secret),
            "last_step": _NEVER,
            "created_at": clock.now(),
            "audit_event_id": event,
        }
        work.execute(sa.insert(Factor), row)
    settings = current_settings()
    # Without the port: a colon separates issuer and account, and neither may contain one.
    issuer = f"Vaultr ({urlsplit(settings.base_url).hostname})"
    return TotpSetup(totp.as_text(secret), totp.uri(secret, email, issuer))


def confirm_totp(actor: Actor, code: str) -> list[str]:
    """Activate the factor, because its app showed the right code; forget all known devices.

    :return: ten recovery codes, shown once. The code of the app is used up.
    :raises Conflict: no factor waits for its first code.
    :raises Unprocessable: the code is wrong; a clock may be wrong.
    """
    with _changing(actor) as (work, email):
        waiting = sa.select(Factor).where(
            Factor.account_id == actor.account_id, Factor.confirmed_at.is_(None)
        )
        factor = work.execute(waiting).scalar_one_or_none()
        if factor is None:
            raise Conflict(
                "No authenticator app waits for its first code. Start with POST /api/v1/auth/totp."
            )
        step = _step(factor, code)
        if step is None:
            error = FieldError("/code", "not the current code; check the clock of the device")
            raise Unprocessable("This is not the current code.", errors=[error])
        event = audit.record(
            Event.FACTOR_ADD, account_id=actor.account_id, obj=_obj(factor.id), reason="confirmed"
        )
        factor.confirmed_at, factor.last_step, factor.audit_event_id = clock.now(), step, event
        codes = _new_codes(work, actor)
        known_devices.forget_all(work, actor.account_id)
        mail.send(account.factor_added(), email)
    return codes


def remove_totp(actor: Actor) -> None:
    """Remove the factor and the recovery codes.

    :raises NotFound: the account has no factor.
    """
    with _changing(actor) as (work, email):
        removed = work.execute(
            sa.delete(Factor)
            .where(Factor.account_id == actor.account_id, Factor.kind == TOTP)
            .returning(Factor.id, Factor.confirmed_at)
        ).all()
        if not removed:
            raise NotFound("This account has no second factor.")
        recovery_codes.delete_codes(work, actor.account_id)
        audit.record(Event.FACTOR_REMOVE, account_id=actor.account_id, obj=_obj(removed[0].id))
        if any(factor.confirmed_at for factor in removed):
            mail.send(account.factor_removed(), email)


def renew_recovery_codes(actor: Actor) -> list[str]:
    """Replace all recovery codes by ten new ones.

    :raises Conflict: the account has no second factor.
    """
    with _changing(actor) as (work, email):
        if not _confirmed(work, actor.account_id):
            raise Conflict("This account has no second factor, so it needs no recovery codes.")
        codes = _new_codes(work, actor)
        mail.send(account.recovery_codes_renewed(), email)
    return codes


def check_second_factor(work: Work, account_id: UUID, email: str, proof: ProofIn) -> None:
    """Check and use up the second factor of a login or step-up, in the transaction of its success.

    For an account without a factor, a code that was sent is ignored. The row of the factor or code
    serialises parallel uses. The use of a recovery code is recorded and emailed to the owner.

    :raises CodeMissing: a factor is needed, but none was sent.
    :raises CodeWrong: the code is wrong, or was used before.
    """
    confirmed = _confirmed(work, account_id)
    if not confirmed:
        return
    if proof.totp is not None:
        if not any(_use(work, factor, proof.totp) for factor in confirmed):
            raise CodeWrong
    elif proof.recovery_code is not None:
        left = recovery_codes.use_code(work, account_id, proof.recovery_code)
        if left is None:
            raise CodeWrong
        obj = {"kind": CODES, "left": left}
        audit.record(Event.FACTOR_CODES, account_id=account_id, obj=obj, reason="used")
        mail.send(account.recovery_code_used(left), email)
    else:
        raise CodeMissing


@contextmanager
def _changing(actor: Actor) -> Iterator[tuple[Work, str]]:
    """Lock the actor's account to change its factors; return its address.

    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        lock_own_account(work, actor)
        mine = sa.select(Account.email).where(Account.id == actor.account_id)
        yield work, work.execute(mine).scalar_one()


def _confirmed(work: Work, account_id: UUID) -> Sequence[Any]:
    return work.connection().execute(_CONFIRMED, {"account": account_id}).all()


def _new_codes(work: Work, actor: Actor) -> list[str]:
    codes = recovery_codes.replace_codes(work, actor.account_id)
    obj = {"kind": CODES, "left": len(codes)}
    audit.record(Event.FACTOR_CODES, account_id=actor.account_id, obj=obj, reason="renewed")
    return codes


def _use(work: Work, factor: Any, code: str) -> bool:
    """Accept a code if its time step is later than the step of the last accepted code."""
    step = _step(factor, code)
    if step is None:
        return False
    used = (
        sa.update(Factor)
        .where(Factor.id == factor.id, Factor.last_step < step)
        .values(last_step=step)
        .returning(Factor.id)
        .execution_options(synchronize_session=False)
    )
    return work.execute(used).one_or_none() is not None


def _step(factor: Any, code: str) -> int | None:
    secret = second_factor_secrets.open_secret(factor.account_id, factor.id, bytes(factor.sealed))
    if secret is None:
        return None
    return totp.matching_step(secret, code, clock.now().timestamp())


def _obj(factor_id: UUID) -> dict[str, str]:
    return {"kind": TOTP, "id": str(factor_id)}
