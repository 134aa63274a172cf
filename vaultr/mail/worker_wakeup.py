"""Wake up the delivery job when this process has stored an email."""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session, SessionTransaction

from vaultr.app_state import AppSlot
from vaultr.database.session import db

_LISTENER: Final = AppSlot[Callable[[], None]]("mail.listener")
_QUEUED = "vaultr_mail_queued"


def listen(app: Flask, listener: Callable[[], None]) -> None:
    """Call ``listener`` after each transaction that stored an email in the outbox."""
    _LISTENER.set(app, listener)


def after_transaction(session: Session) -> None:
    """Call the listener after the open transaction has ended."""
    session.info[_QUEUED] = _LISTENER.find()


@sa.event.listens_for(db.session, "after_transaction_end")
def _ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None and _QUEUED in session.info:
        listener = session.info.pop(_QUEUED)
        if listener is not None:
            listener()
