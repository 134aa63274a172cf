"""Whoever empties the outbox is told at once when this process has put a letter into it."""

from collections.abc import Callable

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Session, SessionTransaction

from vaultr.database.session import db

_LISTENER = "vaultr.mail.listener"
_QUEUED = "vaultr_mail_queued"


def listen(app: Flask, listener: Callable[[], None]) -> None:
    """Call ``listener`` after each transaction that has put a letter into the outbox."""
    app.extensions[_LISTENER] = listener


def after_transaction(session: Session) -> None:
    """Tell the listener when the transaction that is open here has ended."""
    session.info[_QUEUED] = current_app.extensions.get(_LISTENER)


@sa.event.listens_for(db.session, "after_transaction_end")
def _ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None and _QUEUED in session.info:
        listener = session.info.pop(_QUEUED)
        if listener is not None:
            listener()
