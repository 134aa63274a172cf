"""Machines of an account, and their rights to vaults."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "machines",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False, comment="The owner."),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "auth_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the key that proves it.",
        ),
        sa.Column(
            "sealed_kek",
            sa.LargeBinary(),
            nullable=False,
            comment="The key of its wraps, sealed for the owner.",
        ),
        sa.Column(
            "networks",
            sa.Text(),
            nullable=True,
            comment="CIDR blocks, separated by spaces; null: any address.",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "notice_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When its owner gets the email that it expires; null: no more.",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "last_used_at", sa.DateTime(timezone=True), nullable=True, comment="Cut to the hour."
        ),
        sa.Column(
            "revision",
            sa.BigInteger(),
            nullable=False,
            comment="Grows with each change by the owner.",
        ),
        sa.Column("audit_event_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("length(auth_hash) = 32", name=op.f("ck_machines_auth_hash_is_a_hash")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_machines_revision_positive")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_machines_account_id_accounts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machines")),
    )
    op.create_index(op.f("ix_machines_account_id"), "machines", ["account_id"])
    op.create_index(op.f("ix_machines_notice_at"), "machines", ["notice_at"])
    op.add_column(
        "vault_keys",
        sa.Column("rights", sa.Text(), nullable=True, comment="Of a machine: read or write."),
    )


def downgrade():
    with op.batch_alter_table("vault_keys") as table:
        table.drop_column("rights")
    op.drop_table("machines")
