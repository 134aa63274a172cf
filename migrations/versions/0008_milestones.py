"""The last runs of an installation: its last backup, and its last restore drill."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "milestones",
        sa.Column("kind", sa.Text(), nullable=False, comment="Such as backup-verified or drill."),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "facts", sa.Text(), nullable=False, comment="JSON: seconds, rows, a file's name."
        ),
        sa.PrimaryKeyConstraint("kind"),
    )


def downgrade():
    op.drop_table("milestones")
