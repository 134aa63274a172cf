"""The table of an installation's last runs, such as its last verified backup."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


class Milestone(Base):
    """The last time that something happened; a later one replaces the row."""

    __tablename__ = "milestones"

    kind: Mapped[str] = mapped_column(primary_key=True, comment="Such as backup-verified or drill.")
    reached_at: Mapped[datetime]
    facts: Mapped[str] = mapped_column(sa.Text, comment="JSON: seconds, rows, a file's name.")
