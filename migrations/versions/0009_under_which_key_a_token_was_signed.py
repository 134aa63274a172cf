"""Store the id of the JWT key that signed the access token issued with a refresh token."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column(
        "refresh_tokens",
        sa.Column("signed_by", sa.Text(), comment="The JWT_SECRET of the access token beside it."),
    )


def downgrade():
    with op.batch_alter_table("refresh_tokens") as table:
        table.drop_column("signed_by")
