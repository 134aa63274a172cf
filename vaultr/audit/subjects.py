"""The ends of the subjects' chains: number of leaves, and hash of the last one, by subject."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as for_postgresql
from sqlalchemy.dialects import sqlite as for_sqlite
from sqlalchemy.orm import Session

from vaultr.audit.models import AuditSubject
from vaultr.audit.tree import SubjectEnd
from vaultr.database.session import postgresql


def read(session: Session, tags: Collection[bytes]) -> dict[bytes, SubjectEnd]:
    """Read the ends of subjects' chains, without subjects that have no leaf."""
    query = sa.select(
        AuditSubject.subject_tag, AuditSubject.last_seq, AuditSubject.last_leaf_hash
    ).where(AuditSubject.subject_tag.in_(tags))
    return {tag: SubjectEnd(seq, leaf) for tag, seq, leaf in session.execute(query)}


def write(session: Session, ends: dict[bytes, SubjectEnd]) -> None:
    """Store the ends of subjects."""
    if not ends:
        return
    insert: Any = (for_postgresql if postgresql() else for_sqlite).insert(AuditSubject)
    statement = insert.on_conflict_do_update(
        index_elements=["subject_tag"],
        set_={
            "last_seq": insert.excluded.last_seq,
            "last_leaf_hash": insert.excluded.last_leaf_hash,
        },
    )
    rows = [
        {"subject_tag": tag, "last_seq": end.seq, "last_leaf_hash": end.leaf_hash}
        for tag, end in ends.items()
    ]
    session.execute(statement, rows)
