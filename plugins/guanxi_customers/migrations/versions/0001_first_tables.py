"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "customers_office",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
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
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_office"),
        sa.UniqueConstraint("tenant_id", "code", name="uq_customers_office_tenant_id_code"),
    )
    op.create_index(
        "ix_customers_office_tenant_id_created_at_id",
        "customers_office",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_office_tenant_id_name_id",
        "customers_office",
        ["tenant_id", "name", "id"],
        unique=False,
    )
    op.create_table(
        "customers_supplier",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=True),
        sa.Column("contact_name", sa.Text(), nullable=True),
        sa.Column("contact_title", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("postal_code", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("fax", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
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
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_supplier"),
        sa.UniqueConstraint("tenant_id", "code", name="uq_customers_supplier_tenant_id_code"),
    )
    op.create_index(
        "ix_customers_supplier_tenant_id_country_id",
        "customers_supplier",
        ["tenant_id", "country", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_supplier_tenant_id_created_at_id",
        "customers_supplier",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_supplier_tenant_id_name_id",
        "customers_supplier",
        ["tenant_id", "name", "id"],
        unique=False,
    )
    op.create_table(
        "customers_customer",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("industry_class", sa.String(length=40), nullable=False),
        sa.Column("lifecycle", sa.String(length=40), nullable=False),
        sa.Column("office_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=True),
        sa.Column("arrears_days", sa.Integer(), nullable=True),
        sa.Column("credit", sa.String(length=40), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("postal_code", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("fax", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("remarks", sa.Text(), nullable=True),
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
            "credit IN ('GOOD', 'FAIR', 'POOR')", name="ck_customers_customer_credit"
        ),
        sa.CheckConstraint(
            "industry_class IN ('TRADE', 'PRODUCTION', 'SERVICE', 'EDUCATION', "
            "'LAW', 'MILITARY', 'GOVERNMENT', 'OTHER')",
            name="ck_customers_customer_industry_class",
        ),
        sa.CheckConstraint(
            "lifecycle IN ('POTENTIAL', 'ACTUAL', 'LOYAL', 'LOST')",
            name="ck_customers_customer_lifecycle",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "office_id"],
            ["customers_office.tenant_id", "customers_office.id"],
            name="fk_customers_customer_tenant_id_office_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_customer"),
        sa.UniqueConstraint("tenant_id", "code", name="uq_customers_customer_tenant_id_code"),
    )
    op.create_index(
        "ix_customers_customer_tenant_id_created_at_id",
        "customers_customer",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_customer_tenant_id_industry_class_id",
        "customers_customer",
        ["tenant_id", "industry_class", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_customer_tenant_id_lifecycle_id",
        "customers_customer",
        ["tenant_id", "lifecycle", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_customer_tenant_id_name_id",
        "customers_customer",
        ["tenant_id", "name", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_customer_tenant_id_office_id_id",
        "customers_customer",
        ["tenant_id", "office_id", "id"],
        unique=False,
    )
    op.create_table(
        "customers_employee",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("supervisor_id", sa.Uuid(), nullable=True),
        sa.Column("office_id", sa.Uuid(), nullable=True),
        sa.Column("line", sa.String(length=40), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.Column("hometown", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("school", sa.Text(), nullable=True),
        sa.Column("expertise", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("joined_on", sa.Date(), nullable=True),
        sa.Column("notice_filed", sa.Boolean(), nullable=False),
        sa.Column("hosting_load", sa.Integer(), nullable=False),
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
            "line IN ('CUSTOMER', 'PRODUCT', 'DELIVERY')", name="ck_customers_employee_line"
        ),
        sa.CheckConstraint(
            "supervisor_id <> id", name="ck_customers_employee_supervisor_is_another"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "office_id"],
            ["customers_office.tenant_id", "customers_office.id"],
            name="fk_customers_employee_tenant_id_office_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "supervisor_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_customers_employee_tenant_id_supervisor_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_employee"),
        sa.UniqueConstraint("tenant_id", "code", name="uq_customers_employee_tenant_id_code"),
    )
    op.create_index(
        "ix_customers_employee_tenant_id_created_at_id",
        "customers_employee",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_employee_tenant_id_line_id",
        "customers_employee",
        ["tenant_id", "line", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_employee_tenant_id_name_id",
        "customers_employee",
        ["tenant_id", "name", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_employee_tenant_id_office_id_id",
        "customers_employee",
        ["tenant_id", "office_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_employee_tenant_id_supervisor_id_id",
        "customers_employee",
        ["tenant_id", "supervisor_id", "id"],
        unique=False,
    )
    op.create_table(
        "customers_activity",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("planned_on", sa.Date(), nullable=True),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("cost_minor", sa.BigInteger(), nullable=True),
        sa.Column("cost_currency", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
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
            name="ck_customers_activity_kind",
        ),
        sa.CheckConstraint(
            "status <> 'DONE' OR done_at IS NOT NULL", name="ck_customers_activity_done_has_a_time"
        ),
        sa.CheckConstraint(
            "status IN ('PLANNED', 'DONE', 'CANCELLED')", name="ck_customers_activity_status"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_customers_activity_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_activity"),
    )
    op.create_index(
        "ix_customers_activity_tenant_id_created_at_id",
        "customers_activity",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_tenant_id_customer_id_id",
        "customers_activity",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_tenant_id_done_at_id",
        "customers_activity",
        ["tenant_id", "done_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_tenant_id_kind_id",
        "customers_activity",
        ["tenant_id", "kind", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_tenant_id_planned_on_id",
        "customers_activity",
        ["tenant_id", "planned_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_tenant_id_status_id",
        "customers_activity",
        ["tenant_id", "status", "id"],
        unique=False,
    )
    op.create_table(
        "customers_department",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=True),
        sa.Column("in_scope", sa.Boolean(), nullable=False),
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
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_customers_department_tenant_id_customer_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_department"),
    )
    op.create_index(
        "ix_customers_department_tenant_id_created_at_id",
        "customers_department",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_department_tenant_id_customer_id_id",
        "customers_department",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_department_tenant_id_name_id",
        "customers_department",
        ["tenant_id", "name", "id"],
        unique=False,
    )
    op.create_table(
        "customers_purchase",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=True),
        sa.Column("ordered_on", sa.Date(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("amount_currency", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
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
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_customers_purchase_tenant_id_customer_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_customers_purchase_tenant_id_employee_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_purchase"),
        sa.UniqueConstraint("tenant_id", "code", name="uq_customers_purchase_tenant_id_code"),
    )
    op.create_index(
        "ix_customers_purchase_tenant_id_amount_currency_amount_minor_id",
        "customers_purchase",
        ["tenant_id", "amount_currency", "amount_minor", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_purchase_tenant_id_created_at_id",
        "customers_purchase",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_purchase_tenant_id_customer_id_id",
        "customers_purchase",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_purchase_tenant_id_employee_id_id",
        "customers_purchase",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_purchase_tenant_id_ordered_on_id",
        "customers_purchase",
        ["tenant_id", "ordered_on", "id"],
        unique=False,
    )
    op.create_table(
        "customers_stewardship",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
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
            "NOT is_primary OR line = 'CUSTOMER'",
            name="ck_customers_stewardship_primary_of_customer_line",
        ),
        sa.CheckConstraint(
            "line IN ('CUSTOMER', 'PRODUCT', 'DELIVERY')", name="ck_customers_stewardship_line"
        ),
        sa.CheckConstraint(
            "ends_on >= starts_on", name="ck_customers_stewardship_ends_after_start"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_customers_stewardship_tenant_id_customer_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_customers_stewardship_tenant_id_employee_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_stewardship"),
    )
    op.create_index(
        "ix_customers_stewardship_tenant_id_created_at_id",
        "customers_stewardship",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_stewardship_tenant_id_customer_id_id",
        "customers_stewardship",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_stewardship_tenant_id_employee_id_id",
        "customers_stewardship",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_stewardship_tenant_id_ends_on_id",
        "customers_stewardship",
        ["tenant_id", "ends_on", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_stewardship_tenant_id_starts_on_id",
        "customers_stewardship",
        ["tenant_id", "starts_on", "id"],
        unique=False,
    )
    op.create_index(
        "uq_customers_stewardship_employee",
        "customers_stewardship",
        ["tenant_id", "customer_id", "employee_id", "line"],
        unique=True,
        postgresql_where=sa.text("ends_on IS NULL AND archived_at IS NULL"),
    )
    op.create_index(
        "uq_customers_stewardship_primary",
        "customers_stewardship",
        ["tenant_id", "customer_id"],
        unique=True,
        postgresql_where=sa.text("is_primary AND ends_on IS NULL AND archived_at IS NULL"),
    )
    op.create_table(
        "customers_person",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("department_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("public_official", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("name_en", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("hometown", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("school", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
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
            "role IN ('A', 'D', 'S', 'E', 'I', 'NONE')", name="ck_customers_person_role"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers_customer.tenant_id", "customers_customer.id"],
            name="fk_customers_person_tenant_id_customer_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "department_id"],
            ["customers_department.tenant_id", "customers_department.id"],
            name="fk_customers_person_tenant_id_department_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_person"),
        sa.UniqueConstraint("tenant_id", "code", name="uq_customers_person_tenant_id_code"),
    )
    op.create_index(
        "ix_customers_person_tenant_id_created_at_id",
        "customers_person",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_person_tenant_id_customer_id_id",
        "customers_person",
        ["tenant_id", "customer_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_person_tenant_id_department_id_id",
        "customers_person",
        ["tenant_id", "department_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_person_tenant_id_name_id",
        "customers_person",
        ["tenant_id", "name", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_person_tenant_id_rank_id",
        "customers_person",
        ["tenant_id", "rank", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_person_tenant_id_role_id",
        "customers_person",
        ["tenant_id", "role", "id"],
        unique=False,
    )
    op.create_table(
        "customers_activity_participant",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("activity_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("employee_id", sa.Uuid(), nullable=True),
        sa.Column("level", sa.Integer(), nullable=True),
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
            "num_nonnulls(person_id, employee_id) = 1",
            name="ck_customers_activity_participant_person_or_employee",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "activity_id"],
            ["customers_activity.tenant_id", "customers_activity.id"],
            name="fk_customers_activity_participant_tenant_id_activity_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"],
            ["customers_employee.tenant_id", "customers_employee.id"],
            name="fk_customers_activity_participant_tenant_id_employee_id",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "person_id"],
            ["customers_person.tenant_id", "customers_person.id"],
            name="fk_customers_activity_participant_tenant_id_person_id",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_customers_activity_participant"),
        sa.UniqueConstraint(
            "tenant_id",
            "activity_id",
            "employee_id",
            name="uq_customers_activity_participant_employee",
        ),
        sa.UniqueConstraint(
            "tenant_id", "activity_id", "person_id", name="uq_customers_activity_participant_person"
        ),
    )
    op.create_index(
        "ix_customers_activity_participant_tenant_id_activity_id_id",
        "customers_activity_participant",
        ["tenant_id", "activity_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_participant_tenant_id_created_at_id",
        "customers_activity_participant",
        ["tenant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_participant_tenant_id_employee_id_id",
        "customers_activity_participant",
        ["tenant_id", "employee_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_customers_activity_participant_tenant_id_person_id_id",
        "customers_activity_participant",
        ["tenant_id", "person_id", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("customers_activity_participant")
    op.drop_table("customers_person")
    op.drop_table("customers_stewardship")
    op.drop_table("customers_purchase")
    op.drop_table("customers_department")
    op.drop_table("customers_activity")
    op.drop_table("customers_employee")
    op.drop_table("customers_customer")
    op.drop_table("customers_supplier")
    op.drop_table("customers_office")
