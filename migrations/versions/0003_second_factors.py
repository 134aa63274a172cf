"""Second factors and recovery codes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "factors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="What it is; `totp` is RFC 6238."),
        sa.Column("sealed", sa.LargeBinary(), nullable=False, comment="Its secret, sealed."),
        sa.Column("key_id", sa.Text(), nullable=False, comment="The FACTOR_KEY it is under."),
        sa.Column("last_step", sa.BigInteger(), nullable=False, comment="Of the last code used."),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "confirmed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until then nobody is asked for it.",
        ),
        sa.Column("audit_event_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_factors_account_id", "factors", ["account_id"])
    op.create_index("ix_factors_key_id", "factors", ["key_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "code_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of account and code."
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "code_hash"),
    )


def downgrade():
    op.drop_table("recovery_codes")
    op.drop_table("factors")
