"""Count attempts in the database, so that their limit is exact even without Redis."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    recent = sa.Column(
        "recent",
        sa.Text(),
        nullable=False,
        server_default="",
        comment="Stamps of the attempts that still count, newest first; at most the limit.",
    )
    op.add_column("login_failures", recent)


def downgrade():
    op.drop_column("login_failures", "recent")
