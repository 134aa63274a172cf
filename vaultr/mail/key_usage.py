"""Usage of MAIL_KEY: count the emails under each key, and reseal them under the first one."""

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


def emails_under(key_id: str) -> int:
    """Count the stored emails that are sealed under a key."""
    counted = sa.select(sa.func.count()).where(_under(key_id))
    with one_statement() as connection:
        return int(connection.execute(counted).scalar_one())


def key_beside(known: Collection[str]) -> str | None:
    """Return the id of a key that emails need but ``known`` lacks, or None."""
    others = [sa.not_(_under(key_id)) for key_id in known]
    query = sa.select(Mail.sealed).where(Mail.sealed.is_not(None), *others).limit(1)
    with one_statement() as connection:
        sealed = connection.execute(query).scalar_one_or_none()
    return KeyRing.key_id_of(bytes(sealed)) if sealed else None


def reseal_emails() -> Resealed:
    """Reseal all emails under the first MAIL_KEY; return how many were and were not resealed.

    An email is updated only if nobody changed it since it was read, so a row that was wiped after
    sending stays wiped. If no key opens an email, it stays unchanged and is logged.
    """
    counts, after = Resealed(), UUID(int=0)
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
                    counts.left += 1
                    continue
                changed = session.execute(
                    sa.update(Mail)
                    .where(Mail.id == row.id, Mail.sealed == row.sealed)
                    .values(sealed=message.seal(row.id, content, to))
                    .returning(Mail.id)
                    .execution_options(synchronize_session=False)
                )
                counts.done += len(changed.all())
        if not rows:
            return counts
        after = rows[-1].id


def _under(key_id: str) -> sa.ColumnElement[bool]:
    prefix = KeyRing.prefix_of(key_id)
    return sa.func.substr(Mail.sealed, 1, len(prefix)) == prefix
