"""The first tables: accounts and sessions, vaults and their logs, audit events, emails."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def column(kind):
    """Return a function that creates a column of one type, not null by default."""

    def write(name, *, nullable=False, comment=None):
        return sa.Column(name, kind, nullable=nullable, comment=comment)

    return write


uuid = column(sa.Uuid())
text = column(sa.Text())
whole = column(sa.BigInteger())
small = column(sa.Integer())
octets = column(sa.LargeBinary())
moment = column(sa.DateTime(timezone=True))
truth = column(sa.Boolean())


def rule(name, text):
    """Return a check constraint; the naming convention adds ``ck_<table>_``."""
    return sa.CheckConstraint(text, name=name)


def part_of(column, whole):
    """Return a foreign key to a row; deleting that row also deletes this one."""
    return sa.ForeignKeyConstraint([column], [whole], ondelete="CASCADE")


# Columns without comments are on one line. fmt: off
def upgrade():
    op.create_table(
        "accounts",
        uuid("id"),
        text("email", comment="Normalised; compared as it stands."),
        whole("epoch"),
        moment("created_at"),
        uuid("audit_event_id"),
        text("auth_scheme"),
        text("kdf", comment="Canonical JSON, as the account key's seal binds it."),
        octets("salt"),
        text("verifier", comment="Argon2id of the peppered auth key, as PHC text."),
        text("pepper_id"),
        rule("epoch_positive", "epoch >= 1"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
    )
    op.create_table(
        "audit_event",
        uuid("event_id"),
        whole("epoch", comment="Month in which it was written, as 202611."),
        octets("writer_id"),
        whole("writer_seq"),
        octets("prev_hash"),
        octets("body"),
        octets("mac"),
        octets("event_hash"),
        octets("detail", nullable=True),
        octets("detail_salt", nullable=True),
        text("sub"),
        text("act"),
        text("typ"),
        text("out"),
        moment("t"),
        rule("writer_seq_counts", "writer_seq >= 0"),
        sa.PrimaryKeyConstraint("event_id"),
        sa.UniqueConstraint("epoch", "writer_id", "writer_seq"),
    )
    op.create_index("ix_audit_event_sub_t_event_id", "audit_event", ["sub", "t", "event_id"])
    op.create_table(
        "audit_pending",
        uuid("event_id"),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "facts",
        text("name"),
        octets("value"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "login_failures",
        text("counter", comment="Its key; a keyed hash."),
        whole("failures", comment="In a row, since the last success or lock."),
        whole("locks", comment="In a row; each doubles the next one's length."),
        moment("locked_until", nullable=True),
        moment("failed_at"),
        rule("counts_from_zero", "failures >= 0 AND locks >= 0"),
        sa.PrimaryKeyConstraint("counter"),
    )
    op.create_index("ix_login_failures_failed_at", "login_failures", ["failed_at"])
    op.create_table(
        "mails",
        uuid("id"),
        text("kind"),
        truth("notice", comment="A security notice, counted by itself."),
        octets("recipient", comment="Keyed hash of the address."),
        octets("sealed", nullable=True),
        text("message_id", comment="The same at every try."),
        text("state"),
        small("tries"),
        moment("created_at"),
        moment("next_try_at"),
        moment("sent_at", nullable=True),
        rule("state_known", "state IN ('waiting', 'sent', 'dead')"),
        rule("tries_counted", "tries >= 0"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_mails_recipient_created_at", "mails", ["recipient", "created_at"])
    op.create_index("ix_mails_state_next_try_at", "mails", ["state", "next_try_at"])
    op.create_table(
        "waiting_signups",
        uuid("id"),
        text("email", comment="Normalised. Several may wait for one."),
        octets("token_hash", comment="SHA-256 of the mailed token."),
        uuid("account_id", comment="As the client drew it; not yet taken."),
        octets("recovery_verifier", nullable=True),
        octets("recovery_sealed", nullable=True),
        moment("created_at"),
        moment("expires_at"),
        text("auth_scheme"),
        text("kdf", comment="Canonical JSON, as the account key's seal binds it."),
        octets("salt"),
        text("verifier", comment="Argon2id of the peppered auth key, as PHC text."),
        text("pepper_id"),
        octets("account_key"),
        octets("x25519_public"),
        octets("x25519_sealed"),
        octets("ed25519_public"),
        octets("ed25519_sealed"),
        octets("profile"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("ix_waiting_signups_email", "waiting_signups", ["email"])
    op.create_index("ix_waiting_signups_expires_at", "waiting_signups", ["expires_at"])
    op.create_table(
        "key_sets",
        uuid("account_id"),
        whole("profile_revision"),
        uuid("audit_event_id", comment="Of the last change."),
        octets("account_key"),
        octets("x25519_public"),
        octets("x25519_sealed"),
        octets("ed25519_public"),
        octets("ed25519_sealed"),
        octets("profile"),
        rule("revision_positive", "profile_revision >= 1"),
        part_of("account_id", "accounts.id"),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "known_devices",
        uuid("account_id"),
        octets("device_hash", comment="Of account and device id; the id itself is never kept."),
        moment("first_used_at"),
        moment("last_used_at"),
        part_of("account_id", "accounts.id"),
        sa.PrimaryKeyConstraint("account_id", "device_hash"),
    )
    op.create_table(
        "recovery_keys",
        uuid("account_id"),
        octets("verifier", comment="SHA-256 of the key that proves it."),
        octets("sealed"),
        whole("epoch"),
        moment("created_at"),
        uuid("audit_event_id"),
        part_of("account_id", "accounts.id"),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "sessions",
        uuid("id"),
        uuid("account_id"),
        octets("device_hash"),
        text("device_name"),
        text("family", comment="A word for the client, such as vaultr."),
        text("network", comment="Its address, cut to /24 or /48."),
        moment("created_at"),
        moment("last_used_at", comment="At login or the last refresh."),
        moment("proven_at", comment="When the password was proven last."),
        moment("idle_until", comment="It lives until then; never later than expires_at."),
        moment("expires_at"),
        uuid("audit_event_id"),
        part_of("account_id", "accounts.id"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_index("ix_sessions_idle_until", "sessions", ["idle_until"])
    op.create_table(
        "vaults",
        uuid("id"),
        uuid("account_id", comment="The owner."),
        whole("generation", comment="Of its keys."),
        truth("rotating", comment="Items may still be on an older generation."),
        whole("revision", comment="Number of the last entry; 0 before the first."),
        octets("head"),
        octets("overview"),
        whole("overview_revision"),
        whole("overview_generation"),
        whole("active"),
        whole("trash"),
        whole("item_bytes", comment="Sealed bytes of all rows of `items`."),
        whole("version_bytes", comment="Sealed bytes of all rows of `versions`."),
        moment("created_at"),
        uuid("audit_event_id"),
        rule("counts_from_zero", "active >= 0 AND trash >= 0 AND item_bytes >= 0"),
        rule("generation_positive", "generation >= 1"),
        rule("head_is_a_hash", "length(head) = 32"),
        rule("revision_from_zero", "revision >= 0"),
        rule("versions_hold_what_is_current", "version_bytes >= item_bytes"),
        part_of("account_id", "accounts.id"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_vaults_account_id", "vaults", ["account_id"])
    op.create_table(
        "entries",
        uuid("vault_id"),
        whole("n"),
        octets("prev"),
        text("op"),
        uuid("item_id", nullable=True),
        whole("content_revision"),
        octets("content"),
        whole("generation", comment="The vault's after this entry."),
        uuid("author_id"),
        octets("vouch"),
        octets("mac"),
        octets("head"),
        uuid("audit_event_id"),
        rule("head_is_a_hash", "length(head) = 32"),
        rule("mac_is_a_hash", "length(mac) = 32"),
        rule("n_positive", "n >= 1"),
        part_of("vault_id", "vaults.id"),
        sa.PrimaryKeyConstraint("vault_id", "n"),
    )
    op.create_table(
        "items",
        uuid("vault_id"),
        uuid("id"),
        whole("revision", comment="Grows with the vault: commit order."),
        whole("content_revision", comment="Of the last put; the sealing binds it."),
        whole("generation"),
        text("type"),
        text("state"),
        whole("size", comment="Bytes of overview and detail."),
        whole("puts", comment="How often it was put: whether versions must go."),
        octets("content", comment="The hash that its entries carry."),
        octets("overview"),
        octets("detail"),
        moment("created_at"),
        moment("updated_at"),
        uuid("audit_event_id"),
        rule("state_known", "state IN ('active', 'trash')"),
        rule("revision_not_before_content", "revision >= content_revision"),
        part_of("vault_id", "vaults.id"),
        sa.PrimaryKeyConstraint("vault_id", "id"),
        sa.UniqueConstraint("vault_id", "revision"),
    )
    op.create_index("ix_items_vault_id_state_id", "items", ["vault_id", "state", "id"])
    op.create_table(
        "refresh_tokens",
        octets("token_hash", comment="SHA-256 of the token."),
        uuid("session_id"),
        moment("created_at"),
        octets("nonce", nullable=True, comment="Drawn when it was rotated."),
        moment("rotated_at", nullable=True),
        part_of("session_id", "sessions.id"),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])
    op.create_table(
        "removed_items",
        uuid("vault_id"),
        uuid("item_id"),
        whole("revision"),
        part_of("vault_id", "vaults.id"),
        sa.PrimaryKeyConstraint("vault_id", "item_id"),
        sa.UniqueConstraint("vault_id", "revision"),
    )
    op.create_table(
        "vault_keys",
        uuid("vault_id"),
        uuid("holder_id", comment="An account or a machine."),
        whole("generation"),
        text("role"),
        octets("sealed_key"),
        uuid("audit_event_id"),
        rule("role_known", "role IN ('owner', 'machine', 'member')"),
        part_of("vault_id", "vaults.id"),
        sa.PrimaryKeyConstraint("vault_id", "holder_id", "generation"),
    )
    op.create_index("ix_vault_keys_holder_id", "vault_keys", ["holder_id"])
    op.create_table(
        "versions",
        uuid("vault_id"),
        uuid("item_id"),
        whole("revision"),
        whole("generation"),
        text("type"),
        whole("size"),
        octets("overview"),
        octets("detail"),
        moment("created_at"),
        uuid("audit_event_id"),
        part_of("vault_id", "vaults.id"),
        sa.PrimaryKeyConstraint("vault_id", "item_id", "revision"),
        sa.UniqueConstraint("vault_id", "revision"),
    )


# fmt: on


def downgrade():
    for table in (
        "versions",
        "vault_keys",
        "removed_items",
        "refresh_tokens",
        "items",
        "entries",
        "vaults",
        "sessions",
        "recovery_keys",
        "known_devices",
        "key_sets",
        "waiting_signups",
        "mails",
        "login_failures",
        "facts",
        "audit_pending",
        "audit_event",
        "accounts",
    ):
        op.drop_table(table)
