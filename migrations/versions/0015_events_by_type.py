"""List the events of an account by their type without reading all of them."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NAME = "ix_audit_event_sub_typ_t"


def upgrade():
    if op.get_context().dialect.name != "postgresql":
        op.create_index(NAME, "audit_event", ["sub", "typ", "t"], postgresql_concurrently=True)
        return
    with op.get_context().autocommit_block():
        # An interrupted build leaves an invalid index, which PostgreSQL never uses.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.create_index(NAME, "audit_event", ["sub", "typ", "t"], postgresql_concurrently=True)


def downgrade():
    op.drop_index(NAME, "audit_event")
