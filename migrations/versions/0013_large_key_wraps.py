"""Report sealed keys that are larger than a sealed key can be; nothing changes.

Until now a vault's wrap was limited like an item. Larger wraps stay readable, and are gone after
the account key is replaced (`vaultr passwd --others-know`, or a recovery).
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
    """Change nothing: the report is all."""


def downgrade():
    """Change nothing."""
