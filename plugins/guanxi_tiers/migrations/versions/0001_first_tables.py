"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "tiers_arrears_waiver",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
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
        sa.CheckConstraint("ends_on >= starts_on", name="ck_tiers_arrears_waiver_ends_after_start"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_arrears_waiver_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_arrears_waiver"),
    )
    op.create_index(
        "ix_tiers_arrears_waiver_tenant_id_created_at_id",
        "tiers_arrears_waiver",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_arrears_waiver_tenant_id_customer_id_id",
        "tiers_arrears_waiver",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_arrears_waiver_tenant_id_ends_on_id",
        "tiers_arrears_waiver",
        ["tenant_id", "ends_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_arrears_waiver_tenant_id_starts_on_id",
        "tiers_arrears_waiver",
        ["tenant_id", "starts_on", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_tier_assessment",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("input", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=False),
        sa.Column("assessed_on", sa.Date(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
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
            "input IN ('STRATEGIC_FIT', 'PROFIT', 'INFLUENCE')",
            name="ck_tiers_tier_assessment_input",
        ),
        sa.CheckConstraint("value BETWEEN 0 AND 10", name="ck_tiers_tier_assessment_value_of_ten"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_tier_assessment_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_tier_assessment"),
    )
    op.create_index(
        "ix_tiers_tier_assessment_tenant_id_assessed_on_id",
        "tiers_tier_assessment",
        ["tenant_id", "assessed_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_assessment_tenant_id_created_at_id",
        "tiers_tier_assessment",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_assessment_tenant_id_customer_id_id",
        "tiers_tier_assessment",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_assessment_tenant_id_input_id",
        "tiers_tier_assessment",
        ["tenant_id", "input", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_tier_decision",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=True),
        sa.Column("score", sa.Float(precision=53), nullable=True),
        sa.Column("confidence", sa.Float(precision=53), nullable=False),
        sa.Column(
            "inputs", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column(
            "reasons", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("strategy_version", sa.Text(), nullable=False),
        sa.Column("overridden", sa.Boolean(), nullable=False),
        sa.Column("override_reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
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
        sa.CheckConstraint("tier IN ('S', 'A', 'B', 'C')", name="ck_tiers_tier_decision_tier"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_tier_decision_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_tier_decision"),
    )
    op.create_index(
        "ix_tiers_tier_decision_tenant_id_as_of_id",
        "tiers_tier_decision",
        ["tenant_id", "as_of", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_decision_tenant_id_created_at_id",
        "tiers_tier_decision",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_decision_tenant_id_customer_id_id",
        "tiers_tier_decision",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_decision_tenant_id_tier_id",
        "tiers_tier_decision",
        ["tenant_id", "tier", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_standing",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=True),
        sa.Column("tier_score", sa.Float(precision=53), nullable=True),
        sa.Column("tier_confidence", sa.Float(precision=53), nullable=True),
        sa.Column(
            "tier_reasons",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
        ),
        sa.Column("tier_strategy", sa.Text(), nullable=True),
        sa.Column("tier_version", sa.Text(), nullable=True),
        sa.Column("tiered_as_of", sa.Date(), nullable=True),
        sa.Column("tier_overridden", sa.Boolean(), nullable=True),
        sa.Column("tier_override_reason", sa.Text(), nullable=True),
        sa.Column("tier_decision_id", sa.Uuid(), nullable=True),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("tier IN ('S', 'A', 'B', 'C')", name="ck_tiers_standing_tier"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_standing_tenant_id_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tier_decision_id"],
            ["tiers_tier_decision.tenant_id", "tiers_tier_decision.id"],
            name="fk_tiers_standing_tenant_id_tier_decision_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_standing"),
    )
    op.create_index(
        "ix_tiers_standing_tenant_id_tier_decision_id_id",
        "tiers_standing",
        ["tenant_id", "tier_decision_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_standing_tenant_id_tier_id",
        "tiers_standing",
        ["tenant_id", "tier", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_standing_tenant_id_tier_overridden_id",
        "tiers_standing",
        ["tenant_id", "tier_overridden", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_standing_tenant_id_tier_score_id",
        "tiers_standing",
        ["tenant_id", "tier_score", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("tiers_standing")
    op.drop_table("tiers_tier_decision")
    op.drop_table("tiers_tier_assessment")
    op.drop_table("tiers_arrears_waiver")
