"""Which letters wait under which MAIL_KEY; and how they are sealed anew when that rotates."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from vaultr.database.session import one_statement, transaction
from vaultr.mail import message
from vaultr.mail.models import Mail
from vaultr.observability import logs
from vaultr.security import keyring
from vaultr.security.keyring import CannotOpen, KeyRing, Resealed

_AT_A_TIME: Final = 200


def letters_under(key_id: str) -> int:
    """Tell how many letters, waiting or dead, are sealed under the key of an id."""
    counted = sa.select(sa.func.count()).where(_under(key_id))
    with one_statement() as connection:
        return int(connection.execute(counted).scalar_one())


def key_beside(known: Collection[str]) -> str | None:
    """Give the id of one key that is not among the known ones, if a letter is sealed under any."""
    others = [sa.not_(_under(key_id)) for key_id in known]
    query = sa.select(Mail.sealed).where(Mail.sealed.is_not(None), *others).limit(1)
    with one_statement() as connection:
        sealed = connection.execute(query).scalar_one_or_none()
    return KeyRing.marked(bytes(sealed)) if sealed else None


def reseal() -> Resealed:
    """Seal under the first MAIL_KEY what is sealed under another; tell how much was and was not.

    A letter changes only if it is still as it was read, so that one which is sent meanwhile stays
    wiped. What no key opens stays as it is, and is logged.
    """
    told, after = Resealed(), UUID(int=0)
    current = keyring.current().mail.current_id
    old = sa.select(Mail.id, Mail.sealed).where(Mail.sealed.is_not(None), sa.not_(_under(current)))
    while True:
        with transaction() as session:
            rows = session.execute(
                old.where(Mail.id > after).order_by(Mail.id).limit(_AT_A_TIME)
            ).all()
            for row in rows:
                try:
                    to, content = message.unseal(row.id, row.sealed)
                except CannotOpen as error:
                    logs.failure("mail.unreadable", error)
                    told.left += 1
                    continue
                changed = session.execute(
                    sa.update(Mail)
                    .where(Mail.id == row.id, Mail.sealed == row.sealed)
                    .values(sealed=message.seal(row.id, content, to))
                    .returning(Mail.id)
                    .execution_options(synchronize_session=False)
                )
                told.done += len(changed.all())
        if not rows:
            return told
        after = rows[-1].id


def _under(key_id: str) -> sa.ColumnElement[bool]:
    mark = KeyRing.mark(key_id)
    return sa.func.substr(Mail.sealed, 1, len(mark)) == mark
