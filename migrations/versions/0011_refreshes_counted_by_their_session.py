"""Count refreshes in their session's row, exactly and without Redis."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = {
    "refresh_slot": "The slot of time in which it was refreshed last.",
    "refreshes": "In that slot.",
    "refreshes_before": "In the one before.",
}


def upgrade():
    for name, comment in COLUMNS.items():
        column = sa.Column(
            name, sa.BigInteger(), nullable=False, server_default="0", comment=comment
        )
        op.add_column("sessions", column)
    # Each refresh changes this column, so an index on it would prevent HOT updates. Only the hourly
    # purge searches for it.
    op.drop_index("ix_sessions_idle_until", "sessions")


def downgrade():
    op.create_index("ix_sessions_idle_until", "sessions", ["idle_until"])
    with op.batch_alter_table("sessions") as table:
        for name in COLUMNS:
            table.drop_column(name)
