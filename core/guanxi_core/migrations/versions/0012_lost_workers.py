"""Which worker runs a delivery, and how many workers hung with it and were lost.

So that what never comes back does not take one worker after the other with it.
"""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE guanxi_delivery ADD COLUMN worker uuid, "
        "ADD COLUMN hangs integer NOT NULL DEFAULT 0"
    )
    op.execute(
        "CREATE INDEX ix_guanxi_delivery_running ON guanxi_delivery (tenant_id, due_at) "
        "WHERE status = 'running'"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_guanxi_delivery_running")
    op.execute("ALTER TABLE guanxi_delivery DROP COLUMN worker, DROP COLUMN hangs")
