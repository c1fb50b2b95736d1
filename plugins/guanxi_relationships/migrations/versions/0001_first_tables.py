"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "relationships_cooperation",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
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
            "kind IN ('AGREEMENT', 'JOINT_PLANNING', 'JOINT_INNOVATION')",
            name="ck_relationships_cooperation_kind",
        ),
        sa.CheckConstraint(
            "ends_on >= starts_on", name="ck_relationships_cooperation_ends_after_start"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_relationships_cooperation_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_cooperation"),
    )
    op.create_index(
        "ix_relationships_cooperation_tenant_id_created_at_id",
        "relationships_cooperation",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_cooperation_tenant_id_customer_id_id",
        "relationships_cooperation",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_cooperation_tenant_id_ends_on_id",
        "relationships_cooperation",
        ["tenant_id", "ends_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_cooperation_tenant_id_kind_id",
        "relationships_cooperation",
        ["tenant_id", "kind", "id"],
        unique=False,
    )
    op.create_table(
        "relationships_decision_chain",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("opportunity", sa.Text(), nullable=True),
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
            "kind IN ('OVERALL', 'TECHNICAL', 'COMMERCIAL')",
            name="ck_relationships_decision_chain_kind",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_relationships_decision_chain_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_decision_chain"),
    )
    op.create_index(
        "ix_relationships_decision_chain_tenant_id_created_at_id",
        "relationships_decision_chain",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_decision_chain_tenant_id_customer_id_id",
        "relationships_decision_chain",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_decision_chain_tenant_id_kind_id",
        "relationships_decision_chain",
        ["tenant_id", "kind", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_decision_chain_tenant_id_opportunity_id",
        "relationships_decision_chain",
        ["tenant_id", "opportunity", "id"],
        unique=False,
    )
    op.create_index(
        "uq_relationships_decision_chain_opportunity",
        "relationships_decision_chain",
        ["tenant_id", "customer_id", "kind", "opportunity"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_index(
        "uq_relationships_decision_chain_standing",
        "relationships_decision_chain",
        ["tenant_id", "customer_id", "kind"],
        unique=True,
        postgresql_where=sa.text("opportunity IS NULL AND archived_at IS NULL"),
    )
    op.create_table(
        "relationships_handover",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("from_employee_id", sa.Uuid(), nullable=False),
        sa.Column("to_employee_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("overlap_from", sa.Date(), nullable=True),
        sa.Column("completed_on", sa.Date(), nullable=True),
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
            "state IN ('PROPOSED', 'APPROVED', 'OVERLAP', 'COMPLETED', 'WITHDRAWN')",
            name="ck_relationships_handover_state",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_relationships_handover_tenant_id_customer_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "from_employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_relationships_handover_tenant_id_from_employee_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "to_employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_relationships_handover_tenant_id_to_employee_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_handover"),
    )
    op.create_index(
        "ix_relationships_handover_tenant_id_created_at_id",
        "relationships_handover",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_handover_tenant_id_customer_id_id",
        "relationships_handover",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_handover_tenant_id_from_employee_id_id",
        "relationships_handover",
        ["tenant_id", "from_employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_handover_tenant_id_state_id",
        "relationships_handover",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_handover_tenant_id_to_employee_id_id",
        "relationships_handover",
        ["tenant_id", "to_employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "uq_relationships_handover_open",
        "relationships_handover",
        ["tenant_id", "customer_id"],
        unique=True,
        postgresql_where=sa.text("state NOT IN ('COMPLETED', 'WITHDRAWN')"),
    )
    op.create_table(
        "relationships_relationship_plan",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("key_target", sa.Float(precision=53), nullable=True),
        sa.Column("general_target", sa.Float(precision=53), nullable=True),
        sa.Column("organizational_target", sa.Float(precision=53), nullable=True),
        sa.Column("submitted_by", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("returned_because", sa.Text(), nullable=True),
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
            "state IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'RUNNING', 'CLAIMED', "
            "'CONFIRMED', 'CLOSED')",
            name="ck_relationships_relationship_plan_state",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_relationships_relationship_plan_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_relationship_plan"),
        sa.UniqueConstraint(
            "tenant_id",
            "customer_id",
            "year",
            name="uq_relationships_relationship_plan_tenant_id_customer_id_year",
        ),
    )
    op.create_index(
        "ix_relationships_relationship_plan_tenant_id_created_at_id",
        "relationships_relationship_plan",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_plan_tenant_id_customer_id_id",
        "relationships_relationship_plan",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_plan_tenant_id_state_id",
        "relationships_relationship_plan",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_plan_tenant_id_year_id",
        "relationships_relationship_plan",
        ["tenant_id", "year", "id"],
        unique=False,
    )
    op.create_table(
        "relationships_rotation_proposal",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("from_office_id", sa.Uuid(), nullable=True),
        sa.Column("to_office_id", sa.Uuid(), nullable=True),
        sa.Column("tenure_months", sa.Integer(), nullable=False),
        sa.Column("proposed_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("answered_on", sa.Date(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
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
            "state IN ('PROPOSED', 'ACCEPTED', 'DECLINED')",
            name="ck_relationships_rotation_proposal_state",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_relationships_rotation_proposal_tenant_id_employee_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "from_office_id"],
            ["customers_office.tenant_id", "customers_office.id"],
            name="fk_relationships_rotation_proposal_tenant_id_from_office_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "to_office_id"],
            ["customers_office.tenant_id", "customers_office.id"],
            name="fk_relationships_rotation_proposal_tenant_id_to_office_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_rotation_proposal"),
    )
    op.create_index(
        "ix_relationships_rotation_proposal_tenant_id_created_at_id",
        "relationships_rotation_proposal",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_rotation_proposal_tenant_id_employee_id_id",
        "relationships_rotation_proposal",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_rotation_proposal_tenant_id_from_office_id_id",
        "relationships_rotation_proposal",
        ["tenant_id", "from_office_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_rotation_proposal_tenant_id_state_id",
        "relationships_rotation_proposal",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_rotation_proposal_tenant_id_to_office_id_id",
        "relationships_rotation_proposal",
        ["tenant_id", "to_office_id", "id"],
        unique=False,
    )
    op.create_index(
        "uq_relationships_rotation_proposal_open",
        "relationships_rotation_proposal",
        ["tenant_id", "employee_id"],
        unique=True,
        postgresql_where=sa.text("state = 'PROPOSED'"),
    )
    op.create_table(
        "relationships_chain_link",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
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
            ["tenant_id", "chain_id"],
            ["relationships_decision_chain.tenant_id", "relationships_decision_chain.id"],
            name="fk_relationships_chain_link_tenant_id_chain_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_chain_link_tenant_id_source_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "target_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_chain_link_tenant_id_target_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_chain_link"),
    )
    op.create_index(
        "ix_relationships_chain_link_tenant_id_chain_id_id",
        "relationships_chain_link",
        ["tenant_id", "chain_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_link_tenant_id_created_at_id",
        "relationships_chain_link",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_link_tenant_id_source_id_id",
        "relationships_chain_link",
        ["tenant_id", "source_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_link_tenant_id_target_id_id",
        "relationships_chain_link",
        ["tenant_id", "target_id", "id"],
        unique=False,
    )
    op.create_index(
        "uq_relationships_chain_link",
        "relationships_chain_link",
        ["tenant_id", "chain_id", "source_id", "target_id"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_table(
        "relationships_chain_seat",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=False),
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
        sa.CheckConstraint("role <> 'NONE'", name="ck_relationships_chain_seat_has_a_role"),
        sa.CheckConstraint(
            "role IN ('A', 'D', 'S', 'E', 'I', 'NONE')", name="ck_relationships_chain_seat_role"
        ),
        sa.CheckConstraint(
            "ends_on >= starts_on", name="ck_relationships_chain_seat_ends_after_start"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "chain_id"],
            ["relationships_decision_chain.tenant_id", "relationships_decision_chain.id"],
            name="fk_relationships_chain_seat_tenant_id_chain_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "person_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_chain_seat_tenant_id_person_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_chain_seat"),
    )
    op.create_index(
        "ix_relationships_chain_seat_tenant_id_chain_id_id",
        "relationships_chain_seat",
        ["tenant_id", "chain_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_seat_tenant_id_created_at_id",
        "relationships_chain_seat",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_seat_tenant_id_ends_on_id",
        "relationships_chain_seat",
        ["tenant_id", "ends_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_seat_tenant_id_person_id_id",
        "relationships_chain_seat",
        ["tenant_id", "person_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_chain_seat_tenant_id_role_id",
        "relationships_chain_seat",
        ["tenant_id", "role", "id"],
        unique=False,
    )
    op.create_index(
        "uq_relationships_chain_seat_person",
        "relationships_chain_seat",
        ["tenant_id", "chain_id", "person_id"],
        unique=True,
        postgresql_where=sa.text("ends_on IS NULL"),
    )
    op.create_table(
        "relationships_level_claim",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("former_level", sa.Integer(), nullable=True),
        sa.Column("claimed_on", sa.Date(), nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("reviewed_on", sa.Date(), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
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
            "state IN ('PENDING', 'RECORDED', 'APPROVED', 'REJECTED')",
            name="ck_relationships_level_claim_state",
        ),
        sa.CheckConstraint(
            "level BETWEEN -1 AND 3", name="ck_relationships_level_claim_level_of_five"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "person_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_level_claim_tenant_id_person_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_level_claim"),
    )
    op.create_index(
        "ix_relationships_level_claim_tenant_id_claimed_by_id",
        "relationships_level_claim",
        ["tenant_id", "claimed_by", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_claim_tenant_id_created_at_id",
        "relationships_level_claim",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_claim_tenant_id_person_id_id",
        "relationships_level_claim",
        ["tenant_id", "person_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_claim_tenant_id_state_id",
        "relationships_level_claim",
        ["tenant_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        "uq_relationships_level_claim_pending",
        "relationships_level_claim",
        ["tenant_id", "person_id"],
        unique=True,
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_table(
        "relationships_level_target",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("reached_on", sa.Date(), nullable=True),
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
        sa.ForeignKeyConstraint(
            ["tenant_id", "person_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_level_target_tenant_id_person_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"],
            ["relationships_relationship_plan.tenant_id", "relationships_relationship_plan.id"],
            name="fk_relationships_level_target_tenant_id_plan_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_level_target"),
        sa.UniqueConstraint(
            "tenant_id",
            "plan_id",
            "person_id",
            name="uq_relationships_level_target_tenant_id_plan_id_person_id",
        ),
    )
    op.create_index(
        "ix_relationships_level_target_tenant_id_created_at_id",
        "relationships_level_target",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_target_tenant_id_person_id_id",
        "relationships_level_target",
        ["tenant_id", "person_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_target_tenant_id_plan_id_id",
        "relationships_level_target",
        ["tenant_id", "plan_id", "id"],
        unique=False,
    )
    op.create_table(
        "relationships_relationship_action",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("employee_id", sa.Uuid(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
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
            "kind IN ('COMPANY_VISIT', 'SHOWCASE_VISIT', 'ONSITE_MEETING', "
            "'TECHNICAL_EXCHANGE', 'EXECUTIVE_CALL', 'THIRD_PARTY_EVENT', "
            "'MANAGEMENT_STUDY', 'VISIT', 'CALL', 'MEAL', 'TRAVEL', 'GIFT')",
            name="ck_relationships_relationship_action_kind",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_relationships_relationship_action_tenant_id_employee_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "person_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_relationship_action_tenant_id_person_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"],
            ["relationships_relationship_plan.tenant_id", "relationships_relationship_plan.id"],
            name="fk_relationships_relationship_action_tenant_id_plan_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_relationship_action"),
    )
    op.create_index(
        "ix_relationships_relationship_action_tenant_id_created_at_id",
        "relationships_relationship_action",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_action_tenant_id_due_on_id",
        "relationships_relationship_action",
        ["tenant_id", "due_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_action_tenant_id_employee_id_id",
        "relationships_relationship_action",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_action_tenant_id_kind_id",
        "relationships_relationship_action",
        ["tenant_id", "kind", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_action_tenant_id_person_id_id",
        "relationships_relationship_action",
        ["tenant_id", "person_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_relationship_action_tenant_id_plan_id_id",
        "relationships_relationship_action",
        ["tenant_id", "plan_id", "id"],
        unique=False,
    )
    op.create_table(
        "relationships_level_assessment",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("former_level", sa.Integer(), nullable=True),
        sa.Column("assessed_on", sa.Date(), nullable=False),
        sa.Column("assessor", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "level BETWEEN -1 AND 3", name="ck_relationships_level_assessment_level_of_five"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "claim_id"],
            ["relationships_level_claim.tenant_id", "relationships_level_claim.id"],
            name="fk_relationships_level_assessment_tenant_id_claim_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "person_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_relationships_level_assessment_tenant_id_person_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_level_assessment"),
    )
    op.create_index(
        "ix_relationships_level_assessment_tenant_id_claim_id_id",
        "relationships_level_assessment",
        ["tenant_id", "claim_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_assessment_tenant_id_created_at_id",
        "relationships_level_assessment",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_assessment_tenant_id_person_id_id",
        "relationships_level_assessment",
        ["tenant_id", "person_id", "id"],
        unique=False,
    )
    op.create_table(
        "relationships_level_evidence",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=True),
        sa.Column("happened_on", sa.Date(), nullable=False),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "activity_id"],
            ["customers_activity.tenant_id", "customers_activity.id"],
            name="fk_relationships_level_evidence_tenant_id_activity_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "claim_id"],
            ["relationships_level_claim.tenant_id", "relationships_level_claim.id"],
            name="fk_relationships_level_evidence_tenant_id_claim_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_relationships_level_evidence"),
    )
    op.create_index(
        "ix_relationships_level_evidence_tenant_id_activity_id_id",
        "relationships_level_evidence",
        ["tenant_id", "activity_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_evidence_tenant_id_claim_id_id",
        "relationships_level_evidence",
        ["tenant_id", "claim_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_relationships_level_evidence_tenant_id_created_at_id",
        "relationships_level_evidence",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("relationships_level_evidence")
    op.drop_table("relationships_level_assessment")
    op.drop_table("relationships_relationship_action")
    op.drop_table("relationships_level_target")
    op.drop_table("relationships_level_claim")
    op.drop_table("relationships_chain_seat")
    op.drop_table("relationships_chain_link")
    op.drop_table("relationships_rotation_proposal")
    op.drop_table("relationships_relationship_plan")
    op.drop_table("relationships_handover")
    op.drop_table("relationships_decision_chain")
    op.drop_table("relationships_cooperation")
