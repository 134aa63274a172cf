"""Report sealed keys that exceed the maximum size of a sealed key; change nothing.

Until now a vault's wrap had the size limit of an item. Larger wraps stay readable. They disappear
when the account key is replaced (`vaultr passwd --others-know`, or a recovery).
"""

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

REPORTS = {
    "%s vault keys have more than 1,024 sealed bytes; see docs/upgrading.md": (
        "SELECT count(*) FROM vault_keys WHERE length(sealed_key) > 1024"
    ),
}


def upgrade():
    """Change nothing; only REPORTS are run."""


def downgrade():
    """Change nothing."""
