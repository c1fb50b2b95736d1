"""What open subscriptions follow: the transaction of each event, jobs, and changes of rights.

The number of the transaction tells which events a reader has seen, whatever commits late. A job's
progress is an event of its own, which no handler hears of. Whoever serves is notified of both, and
of changes of rights, with the commit.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

TRIGGERS = {
    "guanxi_job_changed": """
        DECLARE what text := CASE TG_OP WHEN 'INSERT' THEN 'JobCreated' ELSE 'JobUpdated' END;
        BEGIN
            INSERT INTO public.guanxi_outbox (tenant_id, id, name, payload, status)
            VALUES (NEW.tenant_id, gen_random_uuid(), what,
                jsonb_build_object('id', NEW.id), 'relayed');
            PERFORM pg_notify('guanxi_events', NEW.tenant_id::text);
            RETURN NULL;
        END
    """,
    "guanxi_stamps_changed": """
        BEGIN
            PERFORM pg_notify('guanxi_events', current_setting('guanxi.tenant', true));
            RETURN NULL;
        END
    """,
}


def upgrade() -> None:
    op.execute(
        "ALTER TABLE guanxi_outbox ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id()"
    )
    op.execute("CREATE INDEX ix_guanxi_outbox_xact ON guanxi_outbox (tenant_id, xact)")
    for name, body in TRIGGERS.items():
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
            f"SET search_path = pg_catalog, pg_temp AS $${body}$$"
        )
    op.execute(
        "CREATE TRIGGER guanxi_job_created AFTER INSERT ON guanxi_job "
        "FOR EACH ROW EXECUTE FUNCTION guanxi_job_changed()"
    )
    op.execute(
        "CREATE TRIGGER guanxi_job_updated AFTER UPDATE ON guanxi_job FOR EACH ROW "
        "WHEN ((OLD.done, OLD.total, OLD.title, OLD.message, OLD.who, OLD.status) "
        "IS DISTINCT FROM (NEW.done, NEW.total, NEW.title, NEW.message, NEW.who, NEW.status)) "
        "EXECUTE FUNCTION guanxi_job_changed()"
    )
    op.execute(
        "CREATE TRIGGER guanxi_stamps_changed AFTER UPDATE OR DELETE ON guanxi_stamp "
        "FOR EACH STATEMENT EXECUTE FUNCTION guanxi_stamps_changed()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER guanxi_stamps_changed ON guanxi_stamp")
    op.execute("DROP TRIGGER guanxi_job_updated ON guanxi_job")
    op.execute("DROP TRIGGER guanxi_job_created ON guanxi_job")
    for name in TRIGGERS:
        op.execute(f"DROP FUNCTION {name}()")
    op.execute("ALTER TABLE guanxi_outbox DROP COLUMN xact")
