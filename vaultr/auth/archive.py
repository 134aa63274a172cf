"""The parts of an account's archive that belong to the account itself."""

import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import Account, Factor, RecoveryKey, Session
from vaultr.auth.queries import OWNER, Owner
from vaultr.auth.responses import key_set_out
from vaultr.errors import Unauthenticated
from vaultr.protocol.encoding import b64


def archive_account(work: Work, account_id: UUID) -> tuple[dict[str, Any], str]:
    """Return the account with all inputs of its key derivation, and its key set, as JSON.

    Values that only the server needs are left out: the verifier, secrets of second factors, hashes
    of tokens and devices, counters.

    :raises Unauthenticated: the account was deleted after authentication.
    """
    row = work.connection().execute(OWNER, {"account": account_id}).one_or_none()
    if row is None:
        raise Unauthenticated
    owner = Owner(*row)
    columns = (Account.auth_scheme, Account.kdf, Account.salt)
    derived = work.execute(sa.select(*columns).where(Account.id == account_id)).one()
    account = {
        "id": str(owner.id),
        "email": owner.email,
        "created_at": clock.text(owner.created_at),
        "auth_scheme": derived.auth_scheme,
        "kdf": json.loads(derived.kdf),
        "salt": b64(derived.salt),
        "factors": _factors(work, account_id),
        "recovery_key": _recovery_key(work, account_id),
    }
    return account, key_set_out(owner).model_dump_json()


def _factors(work: Work, account_id: UUID) -> list[dict[str, str]]:
    mine = (Factor.account_id == account_id, Factor.confirmed_at.is_not(None))
    rows = work.execute(sa.select(Factor.kind, Factor.created_at).where(*mine))
    return [{"kind": row.kind, "created_at": clock.text(row.created_at)} for row in rows]


def _recovery_key(work: Work, account_id: UUID) -> dict[str, Any] | None:
    columns = (RecoveryKey.epoch, RecoveryKey.sealed, RecoveryKey.created_at)
    mine = sa.select(*columns).where(RecoveryKey.account_id == account_id)
    row = work.execute(mine).one_or_none()
    if row is None:
        return None
    created_at = clock.text(row.created_at)
    return {"epoch": row.epoch, "sealed": b64(row.sealed), "created_at": created_at}


def archive_sessions(work: Work, account_id: UUID) -> list[dict[str, str]]:
    """Return the live sessions of an account, oldest first."""
    live = (Session.account_id == account_id, Session.idle_until > clock.now())
    columns = (
        Session.id, Session.device_name, Session.family, Session.network, Session.created_at,
        Session.last_used_at, Session.expires_at,
    )  # fmt: skip
    rows = work.execute(sa.select(*columns).where(*live).order_by(Session.created_at, Session.id))
    return [
        {
            "id": str(row.id),
            "device_name": row.device_name,
            "client": row.family,
            "address": row.network,
            "created_at": clock.text(row.created_at),
            "last_used_at": clock.text(row.last_used_at),
            "expires_at": clock.text(row.expires_at),
        }
        for row in rows
    ]
