"""The sealer knows by their transactions which entries of the audit it has linked.

An entry was marked as pending by a trigger, in a table that every write filled and every sealing
emptied; that took a tenth of the database's work for a mutation. Now it knows its transaction, and
of each tenant is kept which transactions are done with.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    # Everything is linked that was committed when it was called, of each tenant an equal part of a
    # turn, in an order of chance. What is committed meanwhile is found by the next call: done with
    # are only transactions that had ended when the snapshot `seen` was taken.
    "guanxi_seal(most integer)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            shown text := 'YYYY-MM-DD HH24.MI.SS.US';
            sealed timestamptz := clock_timestamp();
            seen pg_snapshot := pg_current_snapshot();
            own xid8 := pg_current_xact_id_if_assigned();
            tenants uuid[] := '{}';
            unfinished uuid[];
            tenant uuid;
            known public.guanxi_audit_sealed;
            elsewhere boolean;
            until xid8;
            ends xid8;
            beside xid8[];
            number bigint;
            newest bytea;
            share integer;
            part integer;
            last xid8;
            done integer := 0;
        BEGIN
            FOR tenant IN SELECT t.id FROM public.guanxi_tenant t ORDER BY random() LOOP
                PERFORM set_config('guanxi.tenant', tenant::text, true);
                IF coalesce(
                    (SELECT s.before > pg_snapshot_xmax(seen) OR EXISTS (
                        SELECT FROM unnest(s.running || own || s.before,
                            s.running || own || pg_snapshot_xmax(seen)) AS r (low, high)
                        CROSS JOIN LATERAL (
                            SELECT FROM public.guanxi_audit a WHERE a.tenant_id = tenant
                            AND a.xact >= r.low AND a.xact <= r.high ORDER BY a.xact LIMIT 1) a)
                    FROM public.guanxi_audit_sealed s WHERE s.tenant_id = tenant),
                    EXISTS (SELECT FROM public.guanxi_audit a WHERE a.tenant_id = tenant)
                ) THEN
                    tenants := tenants || tenant;
                END IF;
            END LOOP;
            IF tenants <> '{}' THEN
                PERFORM pg_advisory_xact_lock(7449358741832523116);
                seen := pg_current_snapshot();
            END IF;
            WHILE tenants <> '{}' AND done < most LOOP
                share := ceil((most - done)::float / cardinality(tenants));
                unfinished := '{}';
                FOREACH tenant IN ARRAY tenants LOOP
                    EXIT WHEN done >= most;
                    PERFORM set_config('guanxi.tenant', tenant::text, true);
                    known := NULL;
                    SELECT s.* INTO known FROM public.guanxi_audit_sealed s
                    WHERE s.tenant_id = tenant;
                    until := pg_snapshot_xmax(seen);
                    ends := until;
                    -- New, or from a server that had counted further: all is looked at.
                    elsewhere := coalesce(known.before > until, true);
                    IF elsewhere THEN
                        known := (tenant, '0', '{}');
                        ends := '18446744073709551615';
                    END IF;
                    beside := known.running;
                    IF own > ends THEN
                        beside := beside || own;
                    END IF;
                    SELECT l.sequence, l.link INTO number, newest FROM public.guanxi_audit_link l
                    WHERE l.tenant_id = tenant ORDER BY l.sequence DESC LIMIT 1;
                    IF NOT FOUND THEN
                        number := 0;
                        newest := decode(repeat('00', 32), 'hex');
                    END IF;
                    share := least(share, most - done);
                    -- Whole transactions, the oldest first. What is sorted and limited in a range
                    -- is found by the index of transactions, whatever PostgreSQL thinks of a
                    -- tenant that it has not counted; each entry is looked up in the chain by
                    -- itself.
                    WITH batch AS MATERIALIZED (
                        SELECT a.* FROM
                            unnest(beside || known.before, beside || ends) AS r (low, high)
                        CROSS JOIN LATERAL (
                            SELECT a.* FROM public.guanxi_audit a WHERE a.tenant_id = tenant
                            AND a.xact >= r.low AND a.xact <= r.high
                            AND (SELECT true FROM public.guanxi_audit_link l
                                WHERE l.tenant_id = tenant AND l.audit_id = a.id LIMIT 1) IS NULL
                            ORDER BY a.xact FETCH FIRST (share) ROWS WITH TIES
                        ) a ORDER BY a.xact FETCH FIRST (share) ROWS WITH TIES
                    ), salted AS MATERIALIZED (
                        SELECT number + row_number() OVER (ORDER BY b.id) AS sequence, b.*,
                            uuid_send(gen_random_uuid()) AS who_salt,
                            uuid_send(gen_random_uuid()) AS what_salt
                        FROM batch b
                    ), hashed AS MATERIALIZED (
                        SELECT s.sequence, s.id, s.who_salt, s.what_salt,
                            sha256(s.who_salt || convert_to(jsonb_build_array(
                                s.actor_id, s.actor, s.origin)::text, 'UTF8')) AS who,
                            sha256(s.what_salt || convert_to(jsonb_build_array(
                                s.changes, s.reason)::text, 'UTF8')) AS what,
                            convert_to(jsonb_build_array(
                                tenant, s.sequence,
                                to_char(sealed AT TIME ZONE 'UTC', shown), s.id,
                                to_char(s.created_at AT TIME ZONE 'UTC', shown),
                                s.action, s.model, s.row_id)::text, 'UTF8') AS rest
                        FROM salted s
                    ), linked AS (
                        INSERT INTO public.guanxi_audit_link (tenant_id, sequence, audit_id,
                            sealed_at, who_salt, what_salt, who, what, link)
                        SELECT tenant, h.sequence, h.id, sealed,
                            h.who_salt, h.what_salt, h.who, h.what,
                            public.guanxi_chain(newest, h.who || h.what || h.rest)
                                OVER (ORDER BY h.sequence)
                        FROM hashed h
                    )
                    SELECT count(*), (SELECT b.xact FROM batch b ORDER BY b.xact DESC LIMIT 1)
                    INTO part, last FROM batch;
                    done := done + part;
                    IF part >= share THEN
                        unfinished := unfinished || tenant;
                        CONTINUE WHEN elsewhere;
                        until := least(
                            until, greatest(known.before, (last::text::bigint + 1)::text::xid8));
                    END IF;
                    INSERT INTO public.guanxi_audit_sealed AS s (tenant_id, before, running)
                    VALUES (tenant, until, ARRAY(
                        SELECT x FROM pg_snapshot_xip(seen) x WHERE x < until
                        UNION SELECT own WHERE own < until
                        UNION SELECT x FROM unnest(known.running) x
                        WHERE part >= share AND x > last))
                    ON CONFLICT (tenant_id) DO UPDATE
                    SET before = excluded.before, running = excluded.running;
                END LOOP;
                tenants := unfinished;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
    # Entries that no sealer will see: their transactions are done with, or have not begun.
    "guanxi_audit_strays(tenant uuid)": """
        RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            RETURN QUERY
            SELECT a.id FROM public.guanxi_audit a
            JOIN public.guanxi_audit_sealed s ON s.tenant_id = tenant
            WHERE a.tenant_id = tenant AND s.before <= pg_snapshot_xmax(pg_current_snapshot())
            AND (a.xact < s.before AND a.xact <> ALL (s.running)
                OR a.xact > pg_snapshot_xmax(pg_current_snapshot()))
            AND NOT EXISTS (SELECT FROM public.guanxi_audit_link l
                WHERE l.tenant_id = tenant AND l.audit_id = a.id)
            ORDER BY a.id;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
}

#: What the functions were before.
FORMER = {
    "guanxi_audit_pends()": """
        RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.guanxi_audit_pending VALUES (NEW.tenant_id, NEW.id);
            RETURN NULL;
        END $$
    """,
    "guanxi_seal(most integer)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            tenant uuid;
            number bigint;
            newest bytea;
            shown text := 'YYYY-MM-DD HH24.MI.SS.US';
            sealed timestamptz := clock_timestamp();
            gone integer;
            done integer := 0;
            share integer;
            before integer;
        BEGIN
            IF NOT EXISTS (SELECT FROM public.guanxi_audit_pending) THEN
                RETURN 0;
            END IF;
            PERFORM pg_advisory_xact_lock(7449358741832523116);
            LOOP
            before := done;
            FOR tenant, share IN
                WITH RECURSIVE waiting AS (
                    (SELECT p.tenant_id AS id FROM public.guanxi_audit_pending p
                        ORDER BY p.tenant_id LIMIT 1)
                    UNION ALL
                    SELECT (SELECT p.tenant_id FROM public.guanxi_audit_pending p
                        WHERE p.tenant_id > w.id ORDER BY p.tenant_id LIMIT 1)
                    FROM waiting w WHERE w.id IS NOT NULL
                )
                SELECT w.id, ceil((most - done)::float / count(*) OVER ()) FROM waiting w
                WHERE w.id IS NOT NULL ORDER BY random()
            LOOP
                EXIT WHEN done >= most;
                PERFORM set_config('guanxi.tenant', tenant::text, true);
                SELECT l.sequence, l.link INTO number, newest FROM public.guanxi_audit_link l
                WHERE l.tenant_id = tenant ORDER BY l.sequence DESC LIMIT 1;
                IF NOT FOUND THEN
                    number := 0;
                    newest := decode(repeat('00', 32), 'hex');
                END IF;
                WITH batch AS (
                    DELETE FROM public.guanxi_audit_pending WHERE tenant_id = tenant
                    AND audit_id = ANY (ARRAY(
                        SELECT p.audit_id FROM public.guanxi_audit_pending p
                        WHERE p.tenant_id = tenant ORDER BY p.audit_id
                        LIMIT least(share, most - done)))
                    RETURNING audit_id
                ), salted AS MATERIALIZED (
                    SELECT number + row_number() OVER (ORDER BY b.audit_id) AS sequence,
                        b.audit_id AS pending, a.*,
                        uuid_send(gen_random_uuid()) AS who_salt,
                        uuid_send(gen_random_uuid()) AS what_salt
                    FROM batch b LEFT JOIN LATERAL (
                        SELECT e.* FROM public.guanxi_audit e
                        WHERE e.tenant_id = tenant AND e.id = b.audit_id LIMIT 1) a ON true
                ), hashed AS MATERIALIZED (
                    SELECT s.sequence, s.pending, s.who_salt, s.what_salt,
                        sha256(s.who_salt || convert_to(jsonb_build_array(
                            s.actor_id, s.actor, s.origin)::text, 'UTF8')) AS who,
                        sha256(s.what_salt || convert_to(jsonb_build_array(
                            s.changes, s.reason)::text, 'UTF8')) AS what,
                        convert_to(jsonb_build_array(
                            tenant, s.sequence,
                            to_char(sealed AT TIME ZONE 'UTC', shown), s.pending,
                            to_char(s.created_at AT TIME ZONE 'UTC', shown),
                            s.action, s.model, s.row_id)::text, 'UTF8') AS rest
                    FROM salted s
                )
                INSERT INTO public.guanxi_audit_link (tenant_id, sequence, audit_id, sealed_at,
                    who_salt, what_salt, who, what, link)
                SELECT tenant, h.sequence, h.pending, sealed,
                    h.who_salt, h.what_salt, h.who, h.what,
                    public.guanxi_chain(newest, h.who || h.what || h.rest)
                        OVER (ORDER BY h.sequence)
                FROM hashed h;
                GET DIAGNOSTICS gone = ROW_COUNT;
                done := done + gone;
            END LOOP;
            EXIT WHEN done >= most OR done = before;
            END LOOP;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
    "guanxi_audit_strays(tenant uuid)": """
        RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
        DECLARE former text := current_setting('guanxi.tenant', true);
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            RETURN QUERY
            SELECT a.id FROM public.guanxi_audit a WHERE a.tenant_id = tenant
            AND NOT EXISTS (SELECT FROM public.guanxi_audit_link l
                WHERE l.tenant_id = tenant AND l.audit_id = a.id)
            AND NOT EXISTS (SELECT FROM public.guanxi_audit_pending p
                WHERE p.tenant_id = tenant AND p.audit_id = a.id)
            ORDER BY a.id;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        END $$
    """,
}


def upgrade() -> None:
    op.execute("DROP TRIGGER guanxi_audit_pends ON guanxi_audit")
    op.execute("DROP FUNCTION guanxi_audit_pends()")
    # Of entries that are there, those that wait are of this transaction, and all others of one long
    # ago. A default that is a constant rewrites nothing.
    op.execute("ALTER TABLE guanxi_audit ADD COLUMN xact xid8 NOT NULL DEFAULT '3'")
    op.execute("ALTER TABLE guanxi_audit ALTER xact SET DEFAULT pg_current_xact_id()")
    op.execute(
        "UPDATE guanxi_audit a SET xact = DEFAULT FROM guanxi_audit_pending p "
        "WHERE p.tenant_id = a.tenant_id AND p.audit_id = a.id"
    )
    op.execute("DROP TABLE guanxi_audit_pending")
    op.execute("CREATE INDEX ix_guanxi_audit_xact ON guanxi_audit (tenant_id, xact)")
    # Done with are the transactions before a number, except those that ran. Without a row, none is.
    op.execute(
        "CREATE TABLE guanxi_audit_sealed (tenant_id uuid NOT NULL, "
        "before xid8 NOT NULL DEFAULT '0', running xid8[] NOT NULL DEFAULT '{}', "
        "CONSTRAINT pk_guanxi_audit_sealed PRIMARY KEY (tenant_id))"
    )
    op.execute(
        "INSERT INTO guanxi_audit_sealed SELECT t.id, pg_snapshot_xmax(s), ARRAY("
        "SELECT x FROM pg_snapshot_xip(s) x UNION "
        "SELECT x FROM pg_current_xact_id() x WHERE x < pg_snapshot_xmax(s)) "
        "FROM guanxi_tenant t, pg_current_snapshot() s"
    )
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE OR REPLACE FUNCTION {signature} {body} {DEFINER}")


def downgrade() -> None:
    op.execute("DROP TABLE guanxi_audit_sealed")
    op.execute("ALTER TABLE guanxi_audit DROP COLUMN xact")
    op.execute(
        "CREATE TABLE guanxi_audit_pending (tenant_id uuid NOT NULL, audit_id uuid NOT NULL, "
        "CONSTRAINT pk_guanxi_audit_pending PRIMARY KEY (tenant_id, audit_id))"
    )
    op.execute(
        "INSERT INTO guanxi_audit_pending SELECT a.tenant_id, a.id FROM guanxi_audit a "
        "WHERE NOT EXISTS (SELECT FROM guanxi_audit_link l "
        "WHERE l.tenant_id = a.tenant_id AND l.audit_id = a.id)"
    )
    for signature, body in FORMER.items():
        op.execute(f"CREATE OR REPLACE FUNCTION {signature} {body} {DEFINER}")
    op.execute("REVOKE ALL ON FUNCTION guanxi_audit_pends() FROM PUBLIC")
    op.execute(
        "CREATE TRIGGER guanxi_audit_pends AFTER INSERT ON guanxi_audit "
        "FOR EACH ROW EXECUTE FUNCTION guanxi_audit_pends()"
    )
