"""Which user of the platform an employee is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("customers_employee", sa.Column("user_id", sa.Text(), nullable=True))
    op.create_unique_constraint(
        "uq_customers_employee_tenant_id_user_id", "customers_employee", ["tenant_id", "user_id"]
    )
    op.create_index(
        "ix_customers_employee_tenant_id_user_id_id",
        "customers_employee",
        ["tenant_id", "user_id", "id"],
    )


def downgrade() -> None:
    op.drop_index("ix_customers_employee_tenant_id_user_id_id", "customers_employee")
    op.drop_constraint("uq_customers_employee_tenant_id_user_id", "customers_employee")
    op.drop_column("customers_employee", "user_id")
