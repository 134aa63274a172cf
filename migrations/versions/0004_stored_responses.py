"""Store responses for a day, by the Idempotency-Key of their requests."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.Uuid(), nullable=False, comment="An account or a machine."),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the key."),
        sa.Column(
            "request_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of method, path, query and body.",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), comment="Null only while the request is answered."),
        sa.Column("headers", sa.Text(), comment="JSON, a list of pairs."),
        sa.Column("body", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("owner_id", "key_hash", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade():
    op.drop_table("idempotency_keys")
