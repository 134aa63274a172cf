"""Changes of email address: pending ones, and those that can be undone."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def token(name, whose, *, nullable=False):
    comment = f"SHA-256 of the {whose}"
    return sa.Column(name, sa.LargeBinary(), nullable=nullable, comment=comment)


def moment(name):
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def of_account():
    return sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE")


def upgrade():
    op.create_table(
        "email_changes",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False, comment="The new one, normalised."),
        token("old_token_hash", "token mailed to the old address; null once used.", nullable=True),
        token("new_token_hash", "token mailed to the new address; null once used.", nullable=True),
        moment("created_at"),
        moment("expires_at"),
        of_account(),
        sa.PrimaryKeyConstraint("account_id"),
        sa.UniqueConstraint("old_token_hash"),
        sa.UniqueConstraint("new_token_hash"),
    )
    op.create_index("ix_email_changes_expires_at", "email_changes", ["expires_at"])
    op.create_table(
        "email_undos",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False, comment="The old one, normalised."),
        token("token_hash", "mailed token."),
        moment("created_at"),
        moment("expires_at"),
        of_account(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("ix_email_undos_account_id", "email_undos", ["account_id"])
    op.create_index("ix_email_undos_email", "email_undos", ["email"])
    op.create_index("ix_email_undos_expires_at", "email_undos", ["expires_at"])


def downgrade():
    op.drop_table("email_undos")
    op.drop_table("email_changes")
