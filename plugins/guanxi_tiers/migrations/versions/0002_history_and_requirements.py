"""History, strategies, schemes, obligations and coverage."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "tiers_tier_run",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("everybody", sa.Boolean(), nullable=False),
        sa.Column("made_on", sa.Date(), nullable=False),
        sa.Column("strategies", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("classified", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
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
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_tier_run"),
    )
    op.create_index(
        "ix_tiers_tier_run_tenant_id_as_of_id",
        "tiers_tier_run",
        ["tenant_id", "as_of", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_run_tenant_id_created_at_id",
        "tiers_tier_run",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_run_tenant_id_everybody_id",
        "tiers_tier_run",
        ["tenant_id", "everybody", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_tier_scheme",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("shadow_until", sa.Date(), nullable=True),
        sa.Column("in_force_from", sa.Date(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("changes", postgresql.ARRAY(sa.Text()), nullable=False),
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
            "state IN ('DRAFT', 'SHADOW', 'IN_FORCE', 'RETIRED')", name="ck_tiers_tier_scheme_state"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_tier_scheme"),
    )
    op.create_index(
        "ix_tiers_tier_scheme_tenant_id_created_at_id",
        "tiers_tier_scheme",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_scheme_tenant_id_state_id",
        "tiers_tier_scheme",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_calendar_day",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("office_id", sa.Uuid(), nullable=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("workday", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
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
        sa.ForeignKeyConstraint(
            ["tenant_id", "office_id"],
            ["customers_office.tenant_id", "customers_office.id"],
            name="fk_tiers_calendar_day_tenant_id_office_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_calendar_day"),
    )
    op.create_index(
        "ix_tiers_calendar_day_tenant_id_created_at_id",
        "tiers_calendar_day",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_calendar_day_tenant_id_day_id",
        "tiers_calendar_day",
        ["tenant_id", "day", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_calendar_day_tenant_id_office_id_id",
        "tiers_calendar_day",
        ["tenant_id", "office_id", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_leave",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
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
        sa.CheckConstraint("ends_on >= starts_on", name="ck_tiers_leave_ends_after_start"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_tiers_leave_tenant_id_employee_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_leave"),
    )
    op.create_index(
        "ix_tiers_leave_tenant_id_created_at_id",
        "tiers_leave",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_leave_tenant_id_employee_id_id",
        "tiers_leave",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_leave_tenant_id_ends_on_id",
        "tiers_leave",
        ["tenant_id", "ends_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_leave_tenant_id_starts_on_id",
        "tiers_leave",
        ["tenant_id", "starts_on", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_need_triage",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("triage", sa.String(length=40), nullable=False),
        sa.Column("triaged_on", sa.Date(), nullable=False),
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
            "triage IN ('CLEAR', 'HOPEFUL', 'NONE')", name="ck_tiers_need_triage_triage"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_need_triage_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_need_triage"),
    )
    op.create_index(
        "ix_tiers_need_triage_tenant_id_created_at_id",
        "tiers_need_triage",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_need_triage_tenant_id_customer_id_id",
        "tiers_need_triage",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_need_triage_tenant_id_triage_id",
        "tiers_need_triage",
        ["tenant_id", "triage", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_need_triage_tenant_id_triaged_on_id",
        "tiers_need_triage",
        ["tenant_id", "triaged_on", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_tier_obligation",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("requirement", sa.String(length=40), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("fulfilled_on", sa.Date(), nullable=True),
        sa.Column("tier", sa.String(length=40), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("fulfilled_by", sa.Text(), nullable=True),
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
            "requirement IN ('REVIEW', 'KEY_PERSON_PLAN', 'ORGANIZATIONAL_PLAN', "
            "'EXECUTIVE_SPONSOR', 'GROUP_STRATEGY', 'PROFILE_REFRESH', "
            "'PROFILE_CHECK', 'COMPANY_VISIT', 'SHOWCASE_VISIT', 'ONSITE_MEETING', "
            "'TECHNICAL_EXCHANGE', 'MANAGEMENT_STUDY', 'CONTACT')",
            name="ck_tiers_tier_obligation_requirement",
        ),
        sa.CheckConstraint(
            "state IN ('OPEN', 'FULFILLED', 'LAPSED')", name="ck_tiers_tier_obligation_state"
        ),
        sa.CheckConstraint("tier IN ('S', 'A', 'B', 'C')", name="ck_tiers_tier_obligation_tier"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_tier_obligation_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_tier_obligation"),
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_created_at_id",
        "tiers_tier_obligation",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_customer_id_id",
        "tiers_tier_obligation",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_due_on_id",
        "tiers_tier_obligation",
        ["tenant_id", "due_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_fulfilled_on_id",
        "tiers_tier_obligation",
        ["tenant_id", "fulfilled_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_requirement_id",
        "tiers_tier_obligation",
        ["tenant_id", "requirement", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_starts_on_id",
        "tiers_tier_obligation",
        ["tenant_id", "starts_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_obligation_tenant_id_state_id",
        "tiers_tier_obligation",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_tier_shadow",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scheme_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=True),
        sa.Column(
            "reasons", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column("as_of", sa.Date(), nullable=False),
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
        sa.CheckConstraint("tier IN ('S', 'A', 'B', 'C')", name="ck_tiers_tier_shadow_tier"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_tiers_tier_shadow_tenant_id_customer_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "scheme_id"],
            ["tiers_tier_scheme.tenant_id", "tiers_tier_scheme.id"],
            name="fk_tiers_tier_shadow_tenant_id_scheme_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_tier_shadow"),
    )
    op.create_index(
        "ix_tiers_tier_shadow_tenant_id_created_at_id",
        "tiers_tier_shadow",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_shadow_tenant_id_customer_id_id",
        "tiers_tier_shadow",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_shadow_tenant_id_scheme_id_id",
        "tiers_tier_shadow",
        ["tenant_id", "scheme_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_tier_shadow_tenant_id_tier_id",
        "tiers_tier_shadow",
        ["tenant_id", "tier", "id"],
        unique=False,
    )
    op.create_table(
        "tiers_weekly_coverage",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("week_of", sa.Date(), nullable=False),
        sa.Column("workdays", sa.Integer(), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("visited", sa.Integer(), nullable=False),
        sa.Column("short", sa.Integer(), nullable=False),
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
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_tiers_weekly_coverage_tenant_id_employee_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_tiers_weekly_coverage"),
    )
    op.create_index(
        "ix_tiers_weekly_coverage_tenant_id_created_at_id",
        "tiers_weekly_coverage",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_weekly_coverage_tenant_id_employee_id_id",
        "tiers_weekly_coverage",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_weekly_coverage_tenant_id_short_id",
        "tiers_weekly_coverage",
        ["tenant_id", "short", "id"],
        unique=False,
    )
    op.create_index(
        "ix_tiers_weekly_coverage_tenant_id_week_of_id",
        "tiers_weekly_coverage",
        ["tenant_id", "week_of", "id"],
        unique=False,
    )
    op.add_column("tiers_standing", sa.Column("tier_override_until", sa.Date(), nullable=True))
    op.create_index(
        "ix_tiers_standing_tenant_id_tier_override_until_id",
        "tiers_standing",
        ["tenant_id", "tier_override_until", "id"],
        unique=False,
    )
    op.add_column("tiers_tier_decision", sa.Column("holds_from", sa.Date(), nullable=True))
    op.add_column(
        "tiers_tier_decision", sa.Column("former_tier", sa.String(length=40), nullable=True)
    )
    op.add_column(
        "tiers_tier_decision", sa.Column("strategy_tier", sa.String(length=40), nullable=True)
    )
    op.add_column("tiers_tier_decision", sa.Column("run_id", sa.Uuid(), nullable=True))
    op.add_column("tiers_tier_decision", sa.Column("override_until", sa.Date(), nullable=True))
    op.execute("UPDATE tiers_tier_decision SET holds_from = as_of")
    op.execute("UPDATE tiers_tier_decision SET strategy_tier = tier WHERE NOT overridden")
    op.alter_column("tiers_tier_decision", "holds_from", nullable=False)
    op.create_index(
        "ix_tiers_tier_decision_tenant_id_run_id_id",
        "tiers_tier_decision",
        ["tenant_id", "run_id", "id"],
        unique=False,
    )
    op.create_foreign_key(
        "fk_tiers_tier_decision_tenant_id_run_id",
        "tiers_tier_decision",
        "tiers_tier_run",
        ["tenant_id", "run_id"],
        ["tenant_id", "id"],
    )
    op.create_check_constraint(
        "ck_tiers_tier_decision_former_tier",
        "tiers_tier_decision",
        "former_tier IN ('S', 'A', 'B', 'C')",
    )
    op.create_check_constraint(
        "ck_tiers_tier_decision_strategy_tier",
        "tiers_tier_decision",
        "strategy_tier IN ('S', 'A', 'B', 'C')",
    )


def downgrade() -> None:
    op.drop_constraint("ck_tiers_tier_decision_strategy_tier", "tiers_tier_decision", type_="check")
    op.drop_constraint("ck_tiers_tier_decision_former_tier", "tiers_tier_decision", type_="check")
    op.drop_constraint(
        "fk_tiers_tier_decision_tenant_id_run_id", "tiers_tier_decision", type_="foreignkey"
    )
    op.drop_index("ix_tiers_tier_decision_tenant_id_run_id_id", table_name="tiers_tier_decision")
    op.drop_column("tiers_tier_decision", "override_until")
    op.drop_column("tiers_tier_decision", "run_id")
    op.drop_column("tiers_tier_decision", "strategy_tier")
    op.drop_column("tiers_tier_decision", "former_tier")
    op.drop_column("tiers_tier_decision", "holds_from")
    op.drop_index("ix_tiers_standing_tenant_id_tier_override_until_id", table_name="tiers_standing")
    op.drop_column("tiers_standing", "tier_override_until")
    op.drop_table("tiers_weekly_coverage")
    op.drop_table("tiers_tier_shadow")
    op.drop_table("tiers_tier_obligation")
    op.drop_table("tiers_need_triage")
    op.drop_table("tiers_leave")
    op.drop_table("tiers_calendar_day")
    op.drop_table("tiers_tier_scheme")
    op.drop_table("tiers_tier_run")
