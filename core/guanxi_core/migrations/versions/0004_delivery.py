"""Deliveries of events, schedules, and jobs whose progress is watched.

An event of the outbox is handed on once: to one delivery for each handler. A delivery waits, is
held behind an earlier one of the same entity, runs until ``due_at`` at most (the claim's lease),
and ends done or dead.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = {
    "guanxi_delivery": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        created_at timestamptz NOT NULL DEFAULT now(),
        position bigint GENERATED ALWAYS AS IDENTITY,
        event_id uuid,
        event text,
        plugin text NOT NULL,
        handler text NOT NULL,
        entity text,
        scheduled_for timestamptz,
        status text NOT NULL DEFAULT 'waiting',
        attempts bigint NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL DEFAULT now(),
        claim uuid,
        error text,
        finished_at timestamptz,
        CONSTRAINT pk_guanxi_delivery PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_guanxi_delivery_tenant_id_event_id
            UNIQUE (tenant_id, event_id, plugin, handler),
        CONSTRAINT uq_guanxi_delivery_tenant_id_scheduled_for
            UNIQUE (tenant_id, plugin, handler, scheduled_for),
        CONSTRAINT ck_guanxi_delivery_status
            CHECK (status IN ('waiting', 'held', 'running', 'done', 'dead')),
        CONSTRAINT ck_guanxi_delivery_event_id CHECK (num_nonnulls(event_id, scheduled_for) = 1)
    """,
    "guanxi_schedule": """
        tenant_id uuid NOT NULL,
        plugin text NOT NULL,
        name text NOT NULL,
        cron text NOT NULL,
        next_at timestamptz,
        CONSTRAINT pk_guanxi_schedule PRIMARY KEY (tenant_id, plugin, name)
    """,
    "guanxi_job": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        kind text NOT NULL,
        title text NOT NULL,
        who text NOT NULL,
        total bigint,
        done bigint NOT NULL DEFAULT 0,
        message text,
        status text NOT NULL DEFAULT 'running',
        seen_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz,
        CONSTRAINT pk_guanxi_job PRIMARY KEY (tenant_id, id),
        CONSTRAINT ck_guanxi_job_status CHECK (status IN ('running', 'done', 'failed'))
    """,
}

INDEXES = (
    "CREATE INDEX ix_guanxi_outbox_position ON guanxi_outbox (tenant_id, position) "
    "WHERE status = 'new'",
    "CREATE INDEX ix_guanxi_delivery_due_at ON guanxi_delivery (tenant_id, due_at, position) "
    "WHERE status IN ('waiting', 'running')",
    "CREATE INDEX ix_guanxi_delivery_entity ON guanxi_delivery "
    "(tenant_id, entity, plugin, handler, position) "
    "WHERE status IN ('waiting', 'running', 'held')",
    "CREATE INDEX ix_guanxi_delivery_status ON guanxi_delivery (tenant_id, status, id)",
    "CREATE INDEX ix_guanxi_delivery_created_at ON guanxi_delivery (tenant_id, created_at, id)",
    "CREATE INDEX ix_guanxi_delivery_finished_at ON guanxi_delivery (tenant_id, finished_at) "
    "WHERE status = 'done'",
    "CREATE INDEX ix_guanxi_job_status ON guanxi_job (tenant_id, status, id)",
    "CREATE INDEX ix_guanxi_job_created_at ON guanxi_job (tenant_id, created_at, id)",
)

#: Runs with the caller's rights. Whoever leaves the queue shares a lock that whoever enters it
#: takes alone; each statement sees what was committed before, so nobody is held behind nobody.
LEAVE = """
    CREATE FUNCTION guanxi_leave(
        tenant uuid, delivery uuid, mine uuid, ending text, reason text, pause float8
    ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    DECLARE left_by record;
    BEGIN
        IF ending <> 'waiting' THEN
            PERFORM pg_advisory_xact_lock_shared(
                hashtextextended('guanxi.delivery.' || tenant::text, 0));
        END IF;
        UPDATE public.guanxi_delivery d SET status = ending, claim = NULL, error = reason,
            due_at = clock_timestamp() + make_interval(secs => pause),
            finished_at = CASE WHEN ending <> 'waiting' THEN clock_timestamp() END
        WHERE d.tenant_id = tenant AND d.id = delivery AND d.claim = mine AND d.status = 'running'
        RETURNING d.plugin, d.handler, d.entity INTO left_by;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        IF ending <> 'waiting' AND left_by.entity IS NOT NULL THEN
            UPDATE public.guanxi_delivery d SET status = 'waiting', due_at = clock_timestamp()
            WHERE d.tenant_id = tenant AND d.id = (
                SELECT n.id FROM public.guanxi_delivery n
                WHERE n.tenant_id = tenant AND n.plugin = left_by.plugin
                AND n.handler = left_by.handler AND n.entity = left_by.entity
                AND n.status = 'held' ORDER BY n.position LIMIT 1);
        END IF;
        RETURN true;
    END $$
"""
LEAVE_SIGNATURE = "guanxi_leave(uuid, uuid, uuid, text, text, float8)"

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    # The next tenants by id, each with whether something waits for it: what a worker asks every
    # second, so each answer is a probe of a partial index. Jobs nobody reports on have died.
    "guanxi_work(after uuid, most integer, clock timestamptz)": """
        RETURNS TABLE (id uuid, name text, currency text, plugins_at timestamptz,
            waiting boolean, due boolean)
        LANGUAGE plpgsql AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            FOR id, name, currency IN
                SELECT t.id, t.name, t.currency FROM public.guanxi_tenant t
                WHERE after IS NULL OR t.id > after ORDER BY t.id LIMIT most
            LOOP
                PERFORM set_config('guanxi.tenant', id::text, true);
                UPDATE public.guanxi_job j SET status = 'failed', finished_at = j.seen_at,
                    message = 'Its process ended before the work was done.'
                WHERE j.tenant_id = guanxi_work.id AND j.status = 'running'
                AND j.seen_at < now() - interval '30 seconds';
                plugins_at := (
                    SELECT max(p.changed_at) FROM public.guanxi_plugin p
                    WHERE p.tenant_id = guanxi_work.id);
                waiting := EXISTS (
                    SELECT FROM public.guanxi_outbox o
                    WHERE o.tenant_id = guanxi_work.id AND o.status = 'new'
                ) OR EXISTS (
                    SELECT FROM public.guanxi_delivery d
                    WHERE d.tenant_id = guanxi_work.id AND d.status IN ('waiting', 'running')
                    AND d.due_at <= now()
                );
                due := EXISTS (
                    SELECT FROM public.guanxi_schedule s
                    WHERE s.tenant_id = guanxi_work.id AND s.next_at <= clock);
                RETURN NEXT;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    "guanxi_backlog()": """
        RETURNS TABLE (tenant text, waiting bigint, oldest timestamptz, dead bigint)
        LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            t record;
        BEGIN
            FOR t IN SELECT n.id, n.name FROM public.guanxi_tenant n ORDER BY n.name LOOP
                PERFORM set_config('guanxi.tenant', t.id::text, true);
                SELECT t.name, count(*), min(w.at) INTO tenant, waiting, oldest FROM (
                    SELECT o.at FROM public.guanxi_outbox o
                    WHERE o.tenant_id = t.id AND o.status = 'new'
                    UNION ALL
                    SELECT d.created_at FROM public.guanxi_delivery d
                    WHERE d.tenant_id = t.id AND d.status IN ('waiting', 'running', 'held')
                ) w;
                dead := (SELECT count(*) FROM public.guanxi_delivery d
                    WHERE d.tenant_id = t.id AND d.status = 'dead');
                RETURN NEXT;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
    # One batch of each kind per tenant; answers how many rows went. Events go when all of
    # their deliveries are done; dead ones stay.
    "guanxi_purge(before timestamptz, most integer)": """
        RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            gone bigint := 0;
            part bigint;
            t uuid;
        BEGIN
            FOR t IN SELECT n.id FROM public.guanxi_tenant n LOOP
                PERFORM set_config('guanxi.tenant', t::text, true);
                DELETE FROM public.guanxi_delivery d USING (
                    SELECT x.id FROM public.guanxi_delivery x
                    WHERE x.tenant_id = t AND x.status = 'done' AND x.finished_at < before
                    ORDER BY x.finished_at LIMIT most FOR UPDATE SKIP LOCKED
                ) old WHERE d.tenant_id = t AND d.id = old.id;
                GET DIAGNOSTICS part = ROW_COUNT;
                gone := gone + part;
                DELETE FROM public.guanxi_outbox o USING (
                    SELECT x.id FROM public.guanxi_outbox x
                    WHERE x.tenant_id = t AND x.status = 'relayed' AND x.at < before
                    AND x.id NOT IN (
                        SELECT d.event_id FROM public.guanxi_delivery d
                        WHERE d.tenant_id = t AND d.status <> 'done' AND d.event_id IS NOT NULL)
                    ORDER BY x.id LIMIT most FOR UPDATE SKIP LOCKED
                ) old WHERE o.tenant_id = t AND o.id = old.id;
                GET DIAGNOSTICS part = ROW_COUNT;
                gone := gone + part;
                DELETE FROM public.guanxi_job j
                WHERE j.tenant_id = t AND j.status <> 'running' AND j.created_at < before;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN gone;
        END $$
    """,
}


def upgrade() -> None:
    # In the order in which transactions came to write: a row's lock is held by then, so events of
    # one row are numbered in the order of their commits.
    op.execute("ALTER TABLE guanxi_outbox ADD COLUMN position bigint GENERATED ALWAYS AS IDENTITY")
    op.execute("ALTER TABLE guanxi_outbox DROP COLUMN attempts")
    op.execute("DROP INDEX ix_guanxi_outbox_at")
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    for statement in INDEXES:
        op.execute(statement)
    op.execute(LEAVE)
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")


def downgrade() -> None:
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    op.execute(f"DROP FUNCTION {LEAVE_SIGNATURE}")
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    op.execute("DROP INDEX ix_guanxi_outbox_position")
    op.execute("ALTER TABLE guanxi_outbox DROP COLUMN position")
    op.execute("ALTER TABLE guanxi_outbox ADD COLUMN attempts integer NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX ix_guanxi_outbox_at ON guanxi_outbox (at) WHERE status = 'new'")
