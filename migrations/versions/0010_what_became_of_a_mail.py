"""Store when an email was handed over to a mail server, and why an attempt failed."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column(
        "mails",
        sa.Column(
            "handed_over_at",
            sa.DateTime(timezone=True),
            comment="Set before its content is sent; empty again once the answer is known.",
        ),
    )
    op.add_column(
        "mails", sa.Column("reason", sa.Text(), comment="A word for what the last try met.")
    )


def downgrade():
    with op.batch_alter_table("mails") as table:
        table.drop_column("reason")
        table.drop_column("handed_over_at")
