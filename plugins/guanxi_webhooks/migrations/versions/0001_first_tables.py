"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "webhooks_webhook_endpoint",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("selection", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("previous_secret_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("previous_secret", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("archived_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'PAUSED', 'DISABLED')", name="ck_webhooks_webhook_endpoint_status"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_webhooks_webhook_endpoint"),
    )
    op.create_index(
        "ix_webhooks_webhook_endpoint_tenant_id_created_at_id",
        "webhooks_webhook_endpoint",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_endpoint_tenant_id_status_id",
        "webhooks_webhook_endpoint",
        ["tenant_id", "status", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_endpoint_tenant_id_user_id_id",
        "webhooks_webhook_endpoint",
        ["tenant_id", "user_id", "id"],
        unique=False,
    )
    op.create_table(
        "webhooks_webhook_health",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=True),
        sa.Column("failing_since", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "id"],
            ["webhooks_webhook_endpoint.tenant_id", "webhooks_webhook_endpoint.id"],
            name="fk_webhooks_webhook_health_tenant_id_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_webhooks_webhook_health"),
    )
    op.create_table(
        "webhooks_webhook_message",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("sent_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("archived_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'SENT', 'FAILED', 'WITHHELD')",
            name="ck_webhooks_webhook_message_status",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"],
            ["webhooks_webhook_endpoint.tenant_id", "webhooks_webhook_endpoint.id"],
            name="fk_webhooks_webhook_message_tenant_id_endpoint_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_webhooks_webhook_message"),
    )
    op.create_index(
        "ix_webhooks_webhook_message_tenant_id_created_at_id",
        "webhooks_webhook_message",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_message_tenant_id_endpoint_id_id",
        "webhooks_webhook_message",
        ["tenant_id", "endpoint_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_message_tenant_id_event_id",
        "webhooks_webhook_message",
        ["tenant_id", "event", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_message_tenant_id_next_attempt_at_id",
        "webhooks_webhook_message",
        ["tenant_id", "next_attempt_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_message_tenant_id_status_id",
        "webhooks_webhook_message",
        ["tenant_id", "status", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_message_tenant_id_subject_id",
        "webhooks_webhook_message",
        ["tenant_id", "subject", "id"],
        unique=False,
    )
    op.create_table(
        "webhooks_webhook_attempt",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "message_id"],
            ["webhooks_webhook_message.tenant_id", "webhooks_webhook_message.id"],
            name="fk_webhooks_webhook_attempt_tenant_id_message_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_webhooks_webhook_attempt"),
    )
    op.create_index(
        "ix_webhooks_webhook_attempt_tenant_id_created_at_id",
        "webhooks_webhook_attempt",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_webhooks_webhook_attempt_tenant_id_message_id_id",
        "webhooks_webhook_attempt",
        ["tenant_id", "message_id", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("webhooks_webhook_attempt")
    op.drop_table("webhooks_webhook_message")
    op.drop_table("webhooks_webhook_health")
    op.drop_table("webhooks_webhook_endpoint")
