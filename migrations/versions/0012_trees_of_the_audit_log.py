"""The trees of the audit log: leaves, nodes, checkpoints, subjects, prune records and holds."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = (
    "audit_hold", "audit_prune", "audit_subject", "audit_key_change", "audit_checkpoint",
    "audit_node", "audit_leaf",
)  # fmt: skip


def whole(name, comment=None):
    return sa.Column(name, sa.BigInteger(), nullable=False, comment=comment)


def octets(name):
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def text(name, *, nullable=False, comment=None):
    return sa.Column(name, sa.Text(), nullable=nullable, comment=comment)


def moment(name):
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def uuid(name):
    return sa.Column(name, sa.Uuid(), nullable=False)


def upgrade():
    op.create_table(
        "audit_leaf",
        whole("epoch", comment="Number of the tree."),
        whole("idx"),
        uuid("event_id"),
        octets("subject_tag"),
        whole("subject_seq"),
        octets("subject_prev"),
        octets("leaf_hash"),
        sa.CheckConstraint("idx >= 0", name=op.f("ck_audit_leaf_idx_counts")),
        sa.PrimaryKeyConstraint("epoch", "idx", name=op.f("pk_audit_leaf")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_leaf_event_id")),
    )
    op.create_table(
        "audit_node",
        whole("epoch"),
        whole("level"),
        whole("idx"),
        octets("hash"),
        sa.PrimaryKeyConstraint("epoch", "level", "idx", name=op.f("pk_audit_node")),
    )
    op.create_table(
        "audit_checkpoint",
        whole("epoch"),
        whole("size"),
        text("note"),
        moment("created_at"),
        text(
            "anchored_to",
            nullable=True,
            comment="Anchors that have it, as JSON; null until it is published.",
        ),
        sa.PrimaryKeyConstraint("epoch", "size", name=op.f("pk_audit_checkpoint")),
    )
    op.create_table(
        "audit_key_change",
        whole("epoch", comment="Last tree of the old key."),
        text("note"),
        moment("created_at"),
        text("anchored_to", nullable=True),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_audit_key_change")),
    )
    op.create_table(
        "audit_subject",
        octets("subject_tag"),
        whole("last_seq"),
        octets("last_leaf_hash"),
        sa.PrimaryKeyConstraint("subject_tag", name=op.f("pk_audit_subject")),
    )
    op.create_table(
        "audit_prune",
        whole("epoch"),
        whole("first_idx"),
        whole("last_idx"),
        moment("last_event_at"),
        text("checkpoint"),
        text("policy"),
        text("operator"),
        uuid("event_id"),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_audit_prune")),
    )
    op.create_table(
        "audit_hold",
        text("name"),
        text("reason"),
        text("operator"),
        moment("created_at"),
        uuid("event_id"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_hold")),
    )


def downgrade():
    for name in TABLES:
        op.drop_table(name)
